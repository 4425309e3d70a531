"""The compiler's report and the roofline."""

import json
import os
import re
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("triton")
from kernels.fused import tile_config  # noqa: E402
from kernels.report import __main__ as report  # noqa: E402
from kernels.report import roofline  # noqa: E402
from kernels.report.compiler import blocks_per_sm  # noqa: E402
from kernels.table import Table  # noqa: E402

GOOD = dict(kernel="sums", arch=90, dtype="fp16", d=512, registers=95, shared_bytes=98328)
GOOD |= dict(stack_bytes=0, local=0, wgmma=4, mma=0, tcgen05=0, exp2=64, wide=8, narrow=0)
GOOD |= dict(blocks_per_sm=2, limit="registers")
BREAKS = [
    (dict(stack_bytes=8), "stack"),
    (dict(local=3), "local"),
    (dict(registers=129), "129 registers"),
    (dict(shared_bytes=240000), "shared"),
    (dict(wgmma=0), "no wgmma"),
    (dict(mma=2), "2 mma"),
    (dict(blocks_per_sm=1), "1 block"),
    (dict(kernel="gradient", registers=185), "184 allowed"),
    (dict(arch=100), "no tcgen05"),
    (dict(arch=80), "no mma"),
    (dict(arch=120), "no mma"),
    (dict(arch=89, shared_bytes=102000), "101376 allowed"),
    (dict(arch=80, mma=4, wide=0), "no loads of 16 bytes"),
    (dict(narrow=2), "2 loads and stores of 2 bytes"),
]


@pytest.mark.parametrize("change, said", BREAKS)
def test_every_bar_can_break(change, said):
    assert report.broken(GOOD) == []
    assert any(said in why for why in report.broken(dict(GOOD, **change)))


@pytest.mark.parametrize(
    "arguments, want",
    [
        ((90, 95, 8, 98328), (2, "registers")),
        ((90, 16, 8, 0), (8, "warps")),
        ((120, 16, 8, 0), (6, "warps")),
        ((86, 32, 4, 40000), (2, "shared memory")),
        # registers are given in steps of 8: 65,536 are 16 warps of 128 x 32, or 15 of 136 x 32
        ((90, 128, 1, 0), (16, "registers")),
        ((90, 129, 1, 0), (15, "registers")),
        ((90, 136, 1, 0), (15, "registers")),
        ((90, 137, 1, 0), (14, "registers")),
        ((90, 128, 3, 0), (5, "registers")),
        # shared memory in steps of 128 bytes: 228 KiB are twice 114, of which 1 KiB is reserved
        ((90, 16, 1, 113 * 1024), (2, "shared memory")),
        ((90, 16, 1, 113 * 1024 + 1), (1, "shared memory")),
    ],
)
def test_occupancy_is_what_runs_out_first(arguments, want):
    assert blocks_per_sm(*arguments) == want


@given(
    st.integers(1, 2048),
    st.sampled_from([0, 80, 86, 89, 90, 100, 120]),
    st.sampled_from([2, 4]),
    st.sampled_from(["sums", "online", "gradient", "product", "product transposed"]),
)
def test_tiles_are_powers_of_two_that_fit(d, arch, size, kernel):
    s = tile_config.tile_shape(kernel, arch, size, d)
    assert all(s[k] & (s[k] - 1) == 0 and s[k] >= 16 for k in ("BM", "BN", "BK"))
    bytes = (s["BM"] + s["BN"]) * s["BK"] * size * s["num_stages"]
    assert arch == 0 or bytes <= (227 if tile_config.uses_tma(arch, size, d) else 99) * 1024
    rows = tile_config.row_shape(d)
    assert rows["DP"] / 2 < d <= rows["DP"] and rows["ROWS"] * rows["DP"] <= max(2048, rows["DP"])


@given(st.integers(1, 2**22), st.sampled_from([torch.float16, torch.float32]))
def test_a_chunk_of_the_gradient_is_the_most_rows_in_256_mib(columns, dtype):
    rows = tile_config.default_chunk(columns, dtype)
    assert rows % 128 == 0 and 128 <= rows <= 4096
    row_bytes = columns * dtype.itemsize
    assert rows == 128 or rows * row_bytes <= 2**28
    assert rows == 4096 or (rows + 128) * row_bytes > 2**28


def test_descriptors_are_for_16_bit_operands_on_hopper_and_data_centre_blackwell():
    cards = [0, 75, 80, 86, 89, 90, 100, 103, 110, 120]
    assert [arch for arch in cards if tile_config.uses_tma(arch, 2, 512)] == [90, 100, 103]
    assert not any(tile_config.uses_tma(arch, 4, 512) for arch in cards)
    # a row takes a multiple of 16 bytes
    assert [d for d in range(1, 33) if tile_config.uses_tma(90, 2, d)] == [8, 16, 24, 32]


def test_numbers_stand_to_the_right_and_words_to_the_left():
    table = Table("what", "N", "ms")
    table.add("sums", 8192, "10.25")
    table.add("a", 3)
    table.add("", 12345, "0.5")
    assert str(table).splitlines() == [
        "what  N      ms",
        "----  -----  -----",
        "sums   8192  10.25",
        "a         3",
        "      12345    0.5",
    ]


@given(
    st.integers(1, 300_000),
    st.sampled_from([512, 768, 1024]),
    st.sampled_from(list(roofline.CARDS)),
)
def test_no_prediction_beats_the_floor(n, d, card):
    assert roofline.predicted_s(card, n, d)["total"] >= roofline.floor_s(card, n, d)
    assert roofline.cost(n, d)["flop"] == 8 * n * n * d


def test_the_floor_is_the_longer_of_the_products_and_the_copies():
    assert roofline.floor_s("A100", 8192, 512) == pytest.approx(8 * 2**35 / 270e12)
    # one pair: 2 x 1024 numbers of 4 bytes, read twice and written once, at 3 TB/s
    assert roofline.floor_s("H100", 1, 1024) == pytest.approx(24_576 / 3e12)


def test_the_cost_is_the_sum_of_what_the_kernels_read_and_write():
    """8192 x 512 are 2^22 numbers of each side. G takes 2^26 numbers, its buffer 2^25."""
    mib = 2**20
    assert roofline.cost(8192, 512) == {
        "flop": 2**38,  # four products of 2 N^2 D
        "exp2": 3 * 2**26,  # once forward, twice backward
        # G thrice; features and their gradients; operands four times; sums of two chunks
        "bytes": (3 * 128 + 2 * (16 + 16) + 4 * 16 + 2 * 2 * 16) * mib,
        "scratch_bytes": (64 + 16 + 32) * mib,  # buffer, operands, gradients of the unit rows
        "logits_bytes": 256 * mib,
        "chunk": 4096,
    }
    small = roofline.cost(100, 8)  # in one chunk
    assert small["bytes"] == 3 * 20_000 + 2 * 6_400 + 4 * 3_200 + 6_400
    assert (small["scratch_bytes"], small["chunk"]) == (20_000 + 3_200 + 6_400, 100)
    # one row more than a chunk makes two chunks: each row's sums, 64 bytes, are moved twice
    assert roofline.cost(4096, 8)["bytes"] == 6 * 4096**2 + 4096 * (128 + 128 + 64)
    assert roofline.cost(4097, 8)["bytes"] == 6 * 4097**2 + 4097 * (128 + 128 + 2 * 64)


@pytest.mark.parametrize(
    "d, microseconds",
    [
        # product 339.4, exponentials 27.7 a pass, G 79.0 a pass, addition to dY 39.5, rows 79.0
        (512, dict(sums=353.23, gradient=394.84, product=339.36, add=39.48, rows=78.95)),
        # product 10.6: G's passes take longer than the products and the exponentials
        (16, dict(sums=24.475, gradient=78.952, product=78.952, add=1.2336, rows=2.4672)),
    ],
)
def test_the_predicted_times_are_those_worked_by_hand(d, microseconds):
    """A100, N = 8192: 3/4 of 270 Tflop/s, 1.7 TB/s, 2.4192e12 exponentials a second."""
    want = {name: t * 1e-6 for name, t in microseconds.items()}
    want["product transposed"] = want["product"] + want.pop("add")
    want["total"] = sum(want.values())
    assert roofline.predicted_s("A100", 8192, d) == pytest.approx(want, rel=1e-4)


TYPES = {
    (
        "sums",
        90,
        "fp16",
    ): "X Y: tensordesc<fp16[128,64]>, SCALE_LOG2 SHIFT Z_ROWS Z_COLUMNS: *fp32, M N offset: i32",
    ("sums", 80, "fp32"): "X Y: *fp32, SCALE_LOG2 SHIFT Z_ROWS Z_COLUMNS: *fp32, M N offset: i32",
    (
        "online",
        80,
        "bf16",
    ): "X Y: *bf16, SCALE_LOG2 HIGHEST Z: *fp32, FLAGGED: *u8, M N offset: i32",
    ("gradient", 90, "bf16"): "X: tensordesc<bf16[128,64]>, Y: tensordesc<bf16[256,64]>, G: *bf16, "
    "SCALE_LOG2 LSE_ROWS LSE_COLUMNS ONE_MINUS_P_ROWS ONE_MINUS_P_COLUMNS: *fp32, "
    "M N offset stride: i32",
    ("product", 80, "fp16"): "A B: *fp16, C: *fp32, M N K stride: i32",
    ("product transposed", 90, "fp16"): "A: tensordesc<fp16[64,128]>, B: tensordesc<fp16[64,128]>, "
    "C: *fp32, M N K stride: i32",
    ("normalize", 90, "fp16"): "X NORM: *fp32, XHAT: *fp16, M stride_m stride_d: i32",
    ("diagonal", 80, "fp16"): "X Y: *fp16, OUT: *fp32, M: i32",
}


@pytest.mark.parametrize("name, arch, dtype", TYPES)
def test_kernels_are_compiled_for_the_arguments_that_launches_pass(name, arch, dtype):
    want = {}
    for names, kind in re.findall(r"([\w ]+): (\S+?)(?:, |$)", TYPES[name, arch, dtype]):
        want |= dict.fromkeys(names.split(), kind)
    assert report.variant(name, arch, dtype, 512)[1] == want


def run(*arguments):
    """python with these arguments, without the interpreter: on a GPU kernels are compiled."""
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.mark.parametrize("arch", [pytest.param(80, marks=pytest.mark.slow), 90])
def test_a_kernel_is_compiled_once_whatever_the_batch(arch):
    """On a GPU each variant is compiled when it is first met."""
    done = run("-m", "tests.kernels.specializations", arch, 64, 65, 130, 1, 33001)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert len(seen) == 7
    for kernel, variants in seen.items():  # a product: turned or not, and added to or not
        most = 3 if kernel == "product_kernel" else 1
        assert len(variants) == most, f"{kernel}: {len(variants)} variants, {list(variants)}"


def test_the_report_assumes_nothing_of_the_batch():
    """What is compiled here is what is compiled for a batch of 65."""
    code = """
from kernels.report import compiler
from kernels.fused import signatures
kernel, *how = signatures.variant("gradient", 80, "fp16", 64)
print(compiler.compiled(kernel, 80, *how).asm["ttir"])
"""
    done = run("-c", code)
    pattern = r"%(\w+): \S+ (\{tt.divisibility = 16[^}]*\})?"
    known = dict(re.findall(pattern, done.stdout.split("attributes")[0]))
    assert known["G"] and known["stride"], done.stdout + done.stderr
    assert not (known["M"] or known["N"] or known["offset"])


@pytest.mark.parametrize(
    "which", ["--arch 120 --dtype fp16 --dim 512", pytest.param("", marks=pytest.mark.slow)]
)
def test_shipped_kernels_compile_within_their_bars(which):
    done = run("-m", "kernels.report", "--check", *which.split())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken bars" in done.stdout and "predicted" in done.stdout


@pytest.mark.parametrize(
    "command", ["kernels.report --dim 4096", "kernels.bench --device cpu --sizes 0"]
)
def test_what_cannot_be_measured_is_refused_in_a_sentence(command):
    done = run("-m", *command.split())
    assert done.returncode == 2 and "Traceback" not in done.stderr and "must be" in done.stderr
