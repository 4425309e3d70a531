"""The compiler's report, the roofline and the honest interpreter's arithmetic."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("triton")
from kernels import interpreter, report, roofline, shapes  # noqa: E402
from kernels.compiler import blocks_per_sm  # noqa: E402

GOOD = dict(kernel="sums", arch=90, dtype="fp16", d=512, registers=95, stack_bytes=0, local=0,
            shared_bytes=98328, wgmma=4, mma=0, tcgen05=0, exp2=64, wide=0, narrow=0, blocks_per_sm=2, limit="registers")  # fmt: skip


@pytest.mark.parametrize("change, said", [
    (dict(stack_bytes=8), "stack"), (dict(local=3), "local"), (dict(registers=129), "129 registers"),
    (dict(shared_bytes=240000), "shared"), (dict(wgmma=0), "no wgmma"), (dict(mma=2), "2 mma"),
    (dict(blocks_per_sm=1), "1 block"), (dict(kernel="gradient", registers=185), "184 allowed"),
    (dict(arch=100), "no tcgen05"), (dict(arch=80), "no mma"), (dict(arch=120), "no mma"),
    (dict(arch=86, mma=4), "no loads of 16 bytes"), (dict(narrow=3), "3 loads and stores of 2 bytes"),
    (dict(arch=89, shared_bytes=102000), "101376 allowed"),
])  # fmt: skip
def test_every_bar_can_break(change, said):
    assert report.broken(GOOD) == []
    assert any(said in why for why in report.broken(dict(GOOD, **change)))


def test_occupancy_is_what_runs_out_first():
    assert blocks_per_sm(90, 95, 8, 98328) == (2, "registers")
    assert blocks_per_sm(90, 32, 4, 147480)[0] == 1
    assert blocks_per_sm(90, 16, 8, 0) == (8, "warps")
    assert blocks_per_sm(120, 16, 8, 0) == (6, "warps")
    assert blocks_per_sm(86, 32, 4, 40000) == (2, "shared memory")


@given(st.integers(1, 2048), st.sampled_from([0, 80, 86, 89, 90, 100, 120]), st.sampled_from([2, 4]),
       st.sampled_from(["sums", "online", "gradient", "product", "product turned"]))  # fmt: skip
def test_tiles_are_powers_of_two_that_fit(d, arch, size, kernel):
    s = shapes.tile_shape(kernel, arch, size, d)
    assert all(s[k] & (s[k] - 1) == 0 and s[k] >= 16 for k in ("BM", "BN", "BK"))
    bytes = (s["BM"] + s["BN"]) * s["BK"] * size * s["num_stages"]
    assert arch == 0 or bytes <= (227 if shapes.uses_tma(arch, size, d) else 99) * 1024
    assert shapes.row_shape(d)["DP"] >= d


@given(
    st.integers(1, 300_000),
    st.sampled_from([512, 768, 1024]),
    st.sampled_from(list(roofline.CARDS)),
)
def test_no_prediction_beats_the_floor(n, d, card):
    assert roofline.predicted_s(card, n, d)["total"] >= roofline.floor_s(card, n, d)
    assert roofline.cost(n, d)["flop"] == 8 * n * n * d


def test_the_floors_are_those_of_the_design():
    for n, ms in ((8192, 0.348), (32768, 5.57), (131072, 89.1)):
        assert abs(roofline.floor_s("H100", n, 512) * 1e3 / ms - 1) < 0.01


@given(st.lists(st.floats(width=32), min_size=1, max_size=20))
def test_the_interpreter_rounds_bfloat16_as_torch_does(values):
    x = np.array(values, dtype=np.float32)
    ours = torch.from_numpy(interpreter.from_bfloat16(interpreter.to_bfloat16(x)))
    theirs = torch.from_numpy(x).bfloat16().float()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)


def test_the_interpreter_flushes_denormals():
    x = np.array([2.0**-126, 2.0**-127, -(2.0**-149), 0.0, 1.0], dtype=np.float32)
    assert interpreter.flushed(x).tolist() == [2.0**-126, 0.0, 0.0, 0.0, 1.0]


def run(*arguments):
    """python -m with these arguments, without the interpreter."""
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.mark.parametrize("arch", [80, 90])
def test_a_kernel_is_compiled_once_whatever_the_batch(arch):
    """Without TRITON_INTERPRET: on a GPU each variant is compiled when it is first met."""
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    command = [
        sys.executable,
        "-m",
        "tests.specialisations",
        *map(str, (arch, 64, 65, 130, 1, 33001)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert len(seen) == 7
    for kernel, variants in seen.items():  # a product: turned or not, and added to or not
        most = 3 if kernel == "product_kernel" else 1
        assert len(variants) == most, f"{kernel}: {len(variants)} variants, {list(variants)}"


def test_the_report_assumes_nothing_of_the_batch():
    """Without TRITON_INTERPRET: what is compiled here is what is compiled for a batch of 65."""
    code = """
from kernels import compiler, shipped
kernel, *how = shipped.variant("gradient", 80, "fp16", 64)
print(compiler.compiled(kernel, 80, *how).asm["ttir"])
"""
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    known = dict(
        re.findall(
            r"%(\w+): \S+ (\{tt.divisibility = 16[^}]*\})?", done.stdout.split("attributes")[0]
        )
    )
    assert known["G"] and known["stride"], done.stdout + done.stderr
    assert not (known["M"] or known["N"] or known["offset"])


@pytest.mark.slow
def test_every_shipped_kernel_compiles_within_its_bars():
    done = run("kernels.report", "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken bars" in done.stdout and "predicted" in done.stdout


@pytest.mark.slow
def test_the_bench_prints_its_table_and_draws_it(tmp_path):
    done = run("kernels.bench", "--device", "cpu", "--sizes", "64", "128", "--dim", "32",
               "--rounds", "1", "--out", str(tmp_path))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "row chunks" in done.stdout and "MiB above start" in done.stdout
    assert (tmp_path / "bench.json").exists() and (tmp_path / "bench.png").exists()


@pytest.mark.parametrize(
    "command", ["kernels.report --dim 4096", "kernels.bench --device cpu --sizes 0"]
)
def test_what_cannot_be_measured_is_refused_in_a_sentence(command):
    done = run(*command.split())
    assert done.returncode == 2 and "Traceback" not in done.stderr and "must be" in done.stderr
