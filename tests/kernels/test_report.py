"""The compiler's report and its bars."""

import json
import math
import os

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.shared import python

pytest.importorskip("triton")
from kernels.fused import tile_config  # noqa: E402
from kernels.report import __main__ as report  # noqa: E402
from kernels.report.compiler import blocks_per_sm, epilogue, listing  # noqa: E402

GOOD = dict(kernel="sums", arch=90, dtype="fp16", d=512, registers=95, shared_bytes=98328)
GOOD |= dict(stack_bytes=0, local=0, wgmma=4, mma=0, tcgen05=0, exp2=64, wide=8, narrow=0)
GOOD |= dict(blocks_per_sm=2, limit="registers")
BREAKS = [
    (dict(stack_bytes=8), "stack"),
    (dict(local=3), "local"),
    (dict(shared_bytes=240000), "shared"),
    (dict(wgmma=0), "no wgmma"),
    (dict(mma=2), "2 mma"),
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


@given(st.integers(1, 40_000), st.integers(1, 400), st.sampled_from([64, 256]), st.integers(1, 200))
def test_no_other_number_of_strips_ends_sooner_nor_does_a_smaller_one_end_as_soon(
    rows, column_blocks, height, sms
):
    def ends(strips):  # tiles that the busiest SM computes, one after the other
        tiles = math.ceil(rows / height)
        return math.ceil(strips * column_blocks / sms) * math.ceil(tiles / strips)

    found = tile_config.strip_rows(rows, column_blocks, height, sms)
    assert found % height == 0
    best = min(ends(strips) for strips in range(1, 5))
    fewest = next(strips for strips in range(1, 5) if ends(strips) == best)
    assert found // height == math.ceil(math.ceil(rows / height) / fewest)


@given(st.integers(1, 10**6), st.sampled_from([torch.float16, torch.float32]))
def test_the_gradient_s_buffer_has_256_mib_at_most_unless_2048_rows_need_more(columns, dtype):
    rows, row_bytes = tile_config.default_chunk(columns, dtype), columns * dtype.itemsize
    assert rows % 128 == 0 and 2048 <= rows <= 8192
    assert rows == 2048 or rows * row_bytes <= 2**28
    assert rows == 8192 or (rows + 128) * row_bytes > 2**28


@given(st.integers(1, 2048))
def test_whole_rows_are_padded_to_a_power_of_two_and_as_many_as_2048_numbers_or_16(d):
    shape = tile_config.row_shape(d)
    assert shape["DP"] >= d > shape["DP"] // 2 and shape["DP"].bit_count() == 1
    assert shape["ROWS"] == min(16, 2048 // shape["DP"])


@given(
    st.integers(1, 2048),
    st.sampled_from([0, 80, 86, 89, 90, 100, 120]),
    st.sampled_from([2, 4]),
    st.sampled_from(list(report.TILED)),
)
def test_tiles_are_powers_of_two_that_fit(d, arch, size, kernel):
    s = tile_config.tile_shape(kernel, arch, size, d)
    parts = dict(s, BN=s["BN"] // 3) if s["BN"] == 384 else s  # three of 128
    assert all(parts[k] & (parts[k] - 1) == 0 and s[k] >= 16 for k in ("BM", "BN", "BK"))
    bytes = (s["BM"] + s["BN"]) * s["BK"] * size * s["num_stages"]
    unused = kernel in report.HOPPER and not tile_config.warps_can_differ(arch, size, d)
    assert (
        unused or arch == 0 or bytes <= (227 if tile_config.uses_tma(arch, size, d) else 99) * 1024
    )


def test_descriptors_are_for_16_bit_operands_on_hopper_and_data_centre_blackwell():
    cards = [0, 75, 80, 86, 89, 90, 100, 103, 110, 120]
    assert [arch for arch in cards if tile_config.uses_tma(arch, 2, 512)] == [90, 100, 103]
    assert not any(tile_config.uses_tma(arch, 4, 512) for arch in cards)
    # a row takes a multiple of 16 bytes
    assert [d for d in range(1, 33) if tile_config.uses_tma(90, 2, d)] == [8, 16, 24, 32]


CODE = """
        /*0000*/                   MOV R1, c[0x0][0x28] ;
.L_x_1:
        /*0010*/                   HGMMA.64x256x16.F32 R24, gdesc[UR8], R24 ;
        /*0020*/               @P0 BRA `(.L_x_1) ;
        /*0030*/                   FMUL R0, R0, R1 ;
        /*0040*/                   BRA P2, `(.L_x_2) ;
        /*0050*/                   MUFU.EX2 R2, R2 ;
        /*0060*/                   MUFU.EX2 R3, R3 ;
        /*0070*/                   BRA `(.L_x_3) ;
.L_x_2:
        /*0080*/                   MUFU.EX2 R2, R2 ;
.L_x_3:
        /*0090*/              @!P1 EXIT ;
        /*00a0*/                   SHFL.BFLY PT, R4, R2, 0x1, 0x1f ;
        /*00b0*/                   EXIT ;
        /*00c0*/                   MUFU.EX2 R5, R5 ;
"""


def test_an_ordinary_tile_takes_the_shortest_way_after_its_last_product():
    """The end of the loop, FMUL, a branch, one exponential, a conditional EXIT, the shuffle and EXIT."""
    assert epilogue(listing(CODE)) == {"instructions": 7, "exp2": 1, "shuffles": 1}
    # a loop over tiles ends a tile where it goes back, and the loop over products does not
    back = CODE.replace("SHFL.BFLY PT, R4, R2, 0x1, 0x1f", "BRA P3, `(.L_x_0)")
    back = back.replace("        /*0000*/", ".L_x_0:\n        /*0000*/")
    assert epilogue(listing(back)) == {"instructions": 6, "exp2": 1, "shuffles": 0}


@pytest.mark.slow
@pytest.mark.parametrize("d", [16, 64])
def test_the_kernels_for_narrow_features_compile_for_hopper(d):
    """A value that is given twice counts once."""
    said, twice = (
        run("-m", "kernels.report", *f"--arch {arch} --dtype fp16 --sizes 512 --dim {d}".split())
        for arch in ("90", "90 90")
    )
    assert " 0 broken bars" in said and said == twice


@pytest.mark.slow
def test_instructions_are_counted_and_a_kernel_is_compiled_once_whatever_the_batch():
    """Sums on an H100: each of 256 threads has 128 elements of the tile of 256 x 128 in 4 rows. A row's
    sum takes two shuffles of four threads, and a column's none.

    Triton would compile a kernel again for an argument that it specialises on, when that becomes 1 or stops
    being a multiple of 16.
    """
    code = """
import json
from kernels.fused.signatures import KERNELS
from kernels.report.compiler import inspect
found = inspect(("tall sums", 90, "fp16", 512))
numbers = {key: found[key] for key in ("epilogue", "exp2", "wgmma", "warps", "blocks_per_sm")}
params = [p for kernel, _ in KERNELS.values() for p in kernel.params]
numbers["specialised"] = [p.name for p in params if not (p.is_constexpr or p.do_not_specialize)]
print(json.dumps(numbers))
"""
    found = json.loads(run("-c", code))
    # 64 rows and 128 columns an instruction of a warpgroup, 16 deep, and BK = 64; both groups have code
    assert found["wgmma"] == 256 // 64 * (64 // 16) and found["warps"] == 8, found
    assert found["epilogue"]["exp2"] == 128 and found["epilogue"]["shuffles"] == 2 * 4, found
    assert not {"M", "N", "offset", "matched", "strip"} & {*found["specialised"]}
    # an exponential, its multiply-add, two additions and half a selection for each element, and some for all
    assert 4.5 * 128 <= found["epilogue"]["instructions"] <= 6 * 128, found


def run(*arguments):
    """What Python prints, without the interpreter: on a GPU kernels are compiled."""
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    return python(*arguments, env=environment)


@pytest.mark.slow
@pytest.mark.parametrize("which", ["--arch 120 --dtype fp16 --dim 512", ""])
def test_shipped_kernels_compile_within_their_bars(which):
    assert "0 broken bars" in run("-m", "kernels.report", "--check", *which.split())
