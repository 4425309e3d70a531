"""07  Your own fused kernel. Read lessons/07_triton.md, then make this file green.

It runs in Triton's interpreter, or on a GPU where there is one. The library's tile, the loop of kernel 5:

    cosines(X, Y, row, column, M, N, D, BM, BN, BK, False, "ieee") -> (BM, BN) float32

are the products of rows `row`, row + 1, ... of X with rows `column`, column + 1, ... of Y, zeros outside.
(False: read by pointers, as in the lesson. "ieee": float32 numbers are multiplied as they are.)
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

triton = pytest.importorskip("triton")
import triton.language as tl  # noqa: E402

from kernels.fused.launch import INTERPRET  # noqa: E402
from kernels.fused.tile import cosines  # noqa: E402, F401  (for your answer)
from tests.guarded import guarded, untouched  # noqa: E402

ANSWER = "tests.answers.ex07_2_row_sums:row_sums_kernel"
DEVICE = "cpu" if INTERPRET else "cuda"


@triton.jit
def row_sums_kernel(X, Y, SCALE_LOG2, SHIFT, Z, M, N, D: tl.constexpr,
                    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):  # fmt: skip
    """Z[i] = sum over all N rows y of Y of 2^(SCALE_LOG2 <x_i, y> - SHIFT), in float32.

    X (M, D), Y (N, D); SCALE_LOG2, SHIFT: pointers to one float32 each; Z (M,). Program p computes
    the BM rows from p BM on.
    """
    raise NotImplementedError  # about 9 lines


def row_sums(x, y, scale_log2, shift, bm=16, bn=16, bk=16):
    """Z for these operands; all memory around x, y and Z is NaN."""
    (m, d), n = x.shape, len(y)
    z = guarded(torch.full((m,), torch.nan), DEVICE)
    numbers = (torch.tensor([v], dtype=torch.float32, device=DEVICE) for v in (scale_log2, shift))
    x, y = guarded(x, DEVICE), guarded(y, DEVICE)
    sizes = dict(D=d, BM=bm, BN=bn, BK=bk)
    row_sums_kernel[(triton.cdiv(m, bm),)](x, y, *numbers, z, m, n, **sizes)
    return z


def unit_rows(m, n, d, seed):
    drawn = torch.randn(2, max(m, n), d, generator=torch.Generator().manual_seed(seed))
    return (torch.nn.functional.normalize(x, dim=1)[:k] for x, k in zip(drawn, (m, n)))


def check(z, x, y, scale_log2, shift, where, bn=16):
    true = torch.exp2(scale_log2 * x.double() @ y.double().T - shift).sum(1)
    z = z.cpu().double()
    missing = z.isnan().nonzero().flatten().tolist()
    assert not missing, f"rows {missing} of Z are NaN: not written, or read outside ({where})"
    # an exponent of up to 24 bits has D + 3 roundings of up to 6e-8 of it, and ln 2 of that, 2e-5 at
    # D = 20, is the error of its power
    error = (z / true - 1).abs()
    worst = error.argmax()
    beyond = -len(y) % bn * 2.0**-shift  # what columns beyond the last add if they are not left out
    padded = beyond > 0 and (z / (true + beyond) - 1).abs().max() < 1e-4
    assert error[worst] < 1e-4, (
        f"row {worst} is {z[worst]:.5g} and should be {true[worst]:.5g} ({where}); see "
        + ("step 4 of 'Your kernel': columns beyond N are counted" if padded else "'Your kernel'")
    )


sizes, widths, seeds = st.integers(1, 20), st.integers(1, 20), st.integers(0, 10**6)
scales, shifts = st.floats(1, 20), st.floats(-4, 4)
few = settings(max_examples=6)  # the interpreter takes milliseconds for each tile


def check_random(m, n, d, seed, scale_log2, shift):
    x, y = unit_rows(m, n, d, seed)
    where = f"{m} x {n} rows of width {d}, scale {scale_log2:.2f}, shift {shift:.2f}"
    check(row_sums(x, y, scale_log2, shift), x, y, scale_log2, shift, where)


@few
@given(seeds, scales, shifts)
def test_one_full_tile_gives_its_row_sums(seed, scale_log2, shift):
    check_random(16, 16, 16, seed, scale_log2, shift)


@few
@given(seeds, scales, shifts)
def test_several_tiles_belong_to_a_row(seed, scale_log2, shift):
    check_random(32, 48, 16, seed, scale_log2, shift)


@few
@given(sizes, sizes, widths)
def test_each_column_adds_one_and_no_other_does(m, n, d):
    """All similarities are equal to the shift, so each of the N columns adds 1."""
    x, y = (torch.nn.functional.normalize(torch.ones(k, d), dim=1) for k in (m, n))
    z = row_sums(x, y, 8.0, 8.0)
    error = (z - n).abs().max()
    assert error < 0.001 * n, (
        f"each of {n} equal columns adds 1, and the sum is {z[0]:.3f}; see steps 2 and 4 of 'Your kernel'"
    )


@few
@given(sizes, sizes, widths, seeds, scales, shifts)
def test_it_is_the_sum_of_every_row(m, n, d, seed, scale_log2, shift):
    check_random(m, n, d, seed, scale_log2, shift)


@few
@given(sizes, sizes, seeds)
def test_nothing_is_written_beyond_the_last_row(m, n, seed):
    z = row_sums(*unit_rows(m, n, 8, seed), 5.0, 0.0)
    assert untouched(z), f"Z has {m} rows, and memory beside it changed; see 'Kernel 2'"


@few
@given(sizes, sizes, seeds, st.sampled_from([(32, 16, 16), (16, 32, 16), (16, 16, 32)]))
def test_the_size_of_a_tile_does_not_matter(m, n, seed, tile):
    x, y = unit_rows(m, n, 24, seed)
    where = "BM, BN, BK = {}, {}, {}".format(*tile)
    check(row_sums(x, y, 9.0, 2.0, *tile), x, y, 9.0, 2.0, where, tile[1])


@few
@given(sizes, sizes, seeds)
def test_operands_of_16_bits_are_added_in_float32(m, n, seed):
    x, y = (x.half() for x in unit_rows(m, n, 24, seed))
    check(row_sums(x, y, 9.0, -9.0), x, y, 9.0, -9.0, "float16 operands, sums in float32")


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_one_full_tile_gives_its_row_sums": (
        "Write down 2^(SCALE_LOG2 <x, y> - SHIFT) for one similarity, and compare it with your line.",
        "The formula stands at the beginning of 'Your kernel': the scale is a factor, the shift is"
        " subtracted, both are read with tl.load, and the base is 2.",
        "e = tl.exp2(s * tl.load(SCALE_LOG2) - tl.load(SHIFT)), s being the tile; its row sums: tl.sum(e, 1)",
    ),
    "test_several_tiles_belong_to_a_row": (
        "Which rows does program 1 take? And what happens to the sums of the first tile of columns when the"
        " second tile comes?",
        "Steps 1, 2 and 5 of 'Your kernel': the rows begin at the program's number times BM, and each tile's"
        " sums are added to those before.",
        "row = tl.program_id(0) * BM; in the loop over column: z += tl.sum(e, 1)",
    ),
    "test_each_column_adds_one_and_no_other_does": (
        "Try N = 17 with BN = 16 on paper: how often does the loop run, and how many columns has its last"
        " tile that do not exist?",
        "The loop has to run until all N columns are reached (step 2), and what it computes beyond N must be"
        " taken out after the exponential (step 4).",
        "for column in range(0, N, BN), and in it e = tl.where((columns of the tile < N)[None, :], e, 0.0)",
    ),
    "test_it_is_the_sum_of_every_row": (
        "Which size is in the message, and is it a multiple of 16?",
        "The laws above are green, so what is left are ends that do not fit: rows beyond M, columns beyond N.",
        "r = row + tl.arange(0, BM); tl.store(Z + r, z, mask=r < M)",
    ),
    "test_nothing_is_written_beyond_the_last_row": (
        "How many rows has the last program, and how many of them exist?",
        "tl.store needs a mask as well; see 'Kernel 2'.",
        "tl.store(Z + r, z, mask=r < M)",
    ),
    "test_the_size_of_a_tile_does_not_matter": (
        "Is there a 16 in your kernel, or BM where BN belongs?",
        "Rows go in steps of BM, columns in steps of BN, dimensions (in `cosines`) in steps of BK.",
        "cosines(X, Y, row, column, M, N, D, BM, BN, BK, False, 'ieee')",
    ),
    "test_operands_of_16_bits_are_added_in_float32": (
        "Which dtype have your exponentials and their sums?",
        "`cosines` gives float32 for operands of any dtype, and all after it must stay float32; see the"
        " end of 'Kernel 5'.",
        "z = tl.zeros((BM,), tl.float32), and no conversion to float16",
    ),
}
DIFFERS = (
    "The library's own kernel, `sums_kernel` in kernels/fused/forward.py, adds up the columns of each tile"
    " as well, so that the similarities are computed once for both directions."
)
