"""08  Both sums of a tile, in Triton. Read lessons/08b_kernel.md, then make this file green.

It runs in Triton's interpreter, or on a GPU where there is one. Of the library you need:

    tile_index(M, N, BM, BN) -> i, j, r, c
        the tile's row block i and column block j; its row numbers r (BM,), from i BM on; its column numbers
        c (BN,), from j BN on
    cosines(X, Y, row, column, M, N, D, BM, BN, BK, False, "ieee") -> (BM, BN) float32
        the products of rows `row`, row + 1, ... of X with rows `column`, column + 1, ... of Y, zeros outside;
        False and "ieee" choose plain loads and full float32
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

triton = pytest.importorskip("triton")
import triton.language as tl  # noqa: E402

from kernels.fused.launch import INTERPRET  # noqa: E402
from kernels.fused.tile import cosines, tile_index  # noqa: E402, F401  (for your answer)
from tests.guarded import guarded, untouched  # noqa: E402

ANSWER = "tests.answers.ex08_3_sums:sums_kernel"
DEVICE = "cpu" if INTERPRET else "cuda"


@triton.jit
def sums_kernel(X, Y, SCALE_LOG2, SHIFT, Z_ROWS, Z_COLUMNS, M, N, offset,
                D: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):  # fmt: skip
    """The sums of one tile of 2^(S - SHIFT), S = SCALE_LOG2 <x, y>, without matches (column = row + offset).

    X (M, D), Y (N, D); SCALE_LOG2, SHIFT: pointers to one float32 each. Z_ROWS (N/BN, M), rounded up: line j
    has the row sums of column block j. Z_COLUMNS (M/BM, N), rounded up: line i has the column sums of row
    block i. Nothing beyond M rows or N columns is counted or written.
    """
    raise NotImplementedError  # about 7 lines


def sums(x, y, scale_log2, shift, offset):
    """(Z_ROWS, Z_COLUMNS) of tiles of 16 x 16; all memory around the tensors is NaN."""
    (m, d), n = x.shape, len(y)
    down, across = triton.cdiv(m, 16), triton.cdiv(n, 16)
    outputs = [guarded(torch.full(s, torch.nan), DEVICE) for s in ((across, m), (down, n))]
    numbers = (torch.tensor(v, dtype=torch.float32, device=DEVICE) for v in (scale_log2, shift))
    x, y = guarded(x, DEVICE), guarded(y, DEVICE)
    how = dict(D=d, BM=16, BN=16, BK=16)
    sums_kernel[(down * across,)](x, y, *numbers, *outputs, m, n, offset, **how)
    return outputs


def unit_rows(m, n, d, seed):
    drawn = torch.randn(2, max(m, n), d, generator=torch.Generator().manual_seed(seed))
    return (torch.nn.functional.normalize(x, dim=1)[:k] for x, k in zip(drawn, (m, n)))


def true_sums(e):
    """The sums of blocks of 16 columns and of 16 rows of e (M, N)."""
    return (
        torch.stack([part.sum(1) for part in e.split(16, dim=1)]),
        torch.stack([part.sum(0) for part in e.split(16, dim=0)]),
    )


heights, widths, seeds = st.integers(1, 20), st.integers(1, 20), st.integers(0, 10**6)
few = settings(max_examples=6)  # the interpreter takes milliseconds for each tile


def compare(m, n, d, seed, offset):
    x, y = unit_rows(m, n, d, seed)
    e = torch.exp2(9 * x.double() @ y.double().T - 2)
    e.diagonal(offset).zero_()
    found = sums(x, y, 9.0, 2.0, offset)
    for z, true, name in zip(found, true_sums(e), ("Z_ROWS", "Z_COLUMNS")):
        z = z.cpu().double()
        where = f"{name} of {m} x {n} rows of width {d}, the match of row i is column i + {offset}"
        assert not z.isnan().any(), f"NaN in {name}: not written, or read outside ({where})"
        # exponents of up to 12 bits with D + 3 roundings of 6e-8 of them
        error = (z - true).abs() / (true + 1e-6)
        block, k = divmod(error.argmax().item(), error.shape[1])
        assert error.max() < 1e-4, (
            f"{name}[{block}, {k}] is {z[block, k]:.5g} and should be {true[block, k]:.5g}: {where};"
            " see 'The kernel' in lesson 08b"
        )


@few
@given(widths, seeds, st.integers(-15, 15))
def test_one_bit_of_shift_halves_every_sum(d, seed, offset):
    x, y = unit_rows(16, 16, d, seed)
    low, high = (sums(x, y, 9.0, shift, offset) for shift in (2.0, 3.0))
    for a, b, name in zip(low, high, ("Z_ROWS", "Z_COLUMNS")):
        assert torch.allclose(a, 2 * b, rtol=1e-5), (
            f"{name} begins with {a.flatten()[0]:.4g} at a shift of 2 and {b.flatten()[0]:.4g} at 3;"
            " see 'The kernel' in lesson 08b"
        )


@few
@given(widths, seeds, st.integers(-15, 15))
def test_the_matches_are_left_out(d, seed, offset):
    compare(16, 16, d, seed, offset)


def test_several_tiles_each_way():
    x, y = unit_rows(32, 48, 8, seed=0)
    e = torch.exp2(5 * x.double() @ y.double().T)
    e.diagonal(3).zero_()
    for z, true in zip(sums(x, y, 5.0, 0.0, 3), true_sums(e)):
        error = (z.cpu().double() / true - 1).abs().max()
        assert error < 1e-4, "32 x 48 rows: a tile's sums are not where the docstring says"


@few
@given(heights, heights, seeds)
def test_nothing_is_written_beyond_the_sums(m, n, seed):
    for z, name in zip(sums(*unit_rows(m, n, 8, seed), 5.0, 0.0, 0), ("Z_ROWS", "Z_COLUMNS")):
        assert untouched(z), f"memory beside {name} changed ({m} x {n} rows); mask the stores"


@few
@given(heights, heights, st.integers(0, 20))
def test_pairs_that_do_not_exist_add_nothing(m, n, offset):
    """All similarities are equal to the shift, so each pair but the matches adds 1."""
    x, y = (torch.nn.functional.normalize(torch.ones(k, 8), dim=1) for k in (m, n))
    pairs = m * n - torch.ones(m, n).diagonal(offset).sum().item()
    for z, name in zip(sums(x, y, 8.0, 8.0, offset), ("Z_ROWS", "Z_COLUMNS")):
        total = z.sum().item()
        assert abs(total - pairs) < 0.001 * pairs + 1e-6, (
            f"{m} x {n} pairs, {pairs:.0f} without the matches, add up to {total:.2f} in {name};"
            " see step 2 of 'The kernel' in lesson 08b"
        )


@few
@given(heights, heights, widths, seeds, st.integers(-20, 20))
def test_each_tile_stores_its_sums_in_both_directions(m, n, d, seed, offset):
    compare(m, n, d, seed, offset)


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_one_bit_of_shift_halves_every_sum": (
        "Which power of 2 does an element become?",
        "What is added up is 2^(S - shift), and SHIFT is a pointer to the shift (lesson 08b, 'The kernel', "
        "step 2).",
        "e = tl.exp2(s * tl.load(SCALE_LOG2) - tl.load(SHIFT)), then tl.sum(e, 1) and tl.sum(e, 0).",
    ),
    "test_the_matches_are_left_out": (
        "Which single element of row r does not count?",
        "The match of row r is in column r + offset, of the whole matrix and not of the tile (lesson 08b, 'The "
        "kernel', step 2). S is the cosine times the number at SCALE_LOG2.",
        "e is 0 where c[None, :] == (r + offset)[:, None], with r and c from tile_index.",
    ),
    "test_several_tiles_each_way": (
        "Tile (i, j) has row block i and column block j. In which row of Z_ROWS do its row sums go?",
        "Z_ROWS has a line of M numbers for each column of tiles, and Z_COLUMNS has a line of N numbers for "
        "each row of tiles: see the drawing of lesson 08b, 'The kernel'.",
        "tl.store(Z_ROWS + j * M + r, tl.sum(e, 1), mask=r < M), and Z_COLUMNS + i * N + c for tl.sum(e, 0).",
    ),
    "test_nothing_is_written_beyond_the_sums": (
        "Where does your last block of rows, or of columns, end?",
        "A tile may be larger than what is left of the matrix, and a store beyond it changes memory that is "
        "not yours (lesson 07, 'Kernel 2').",
        "tl.store(..., mask=r < M) for the rows' sums, and mask=c < N for the columns'.",
    ),
    **dict.fromkeys(
        (
            "test_pairs_that_do_not_exist_add_nothing",
            "test_each_tile_stores_its_sums_in_both_directions",
        ),
        (
            "Which elements of your tile belong to a row or a column that does not exist?",
            "Rows and columns beyond the end are read as zeros, so their S is 0, and 2^(0 - shift) is not 0. "
            "Both must count as 0 before the sums are taken (lesson 08b, 'The kernel', step 2).",
            "e = tl.where((r < M)[:, None] & (c < N)[None, :] & (c[None, :] != (r + offset)[:, None]), e, 0.0)",
        ),
    ),
}
DIFFERS = (
    "In the kernel that trains, `sums_kernel` in kernels/fused/forward.py, a program takes a strip of tiles, one "
    "below the other. Threads exchange their column sums once for the strip and not once for each tile."
)
