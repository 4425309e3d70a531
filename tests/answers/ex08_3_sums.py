"""The right answer to lessons/exercises/ex08_3_sums.py."""

import pytest

triton = pytest.importorskip("triton")
import triton.language as tl  # noqa: E402

from kernels.fused.tile import cosines, tile_index  # noqa: E402


@triton.jit
def sums_kernel(X, Y, SCALE_LOG2, SHIFT, Z_ROWS, Z_COLUMNS, M, N, offset,
                D: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):  # fmt: skip
    """The sums of one tile of 2^(S - SHIFT), S = SCALE_LOG2 <x, y>, without matches (column = row + offset).

    X (M, D), Y (N, D); SCALE_LOG2, SHIFT: pointers to one float32 each. Z_ROWS (N/BN, M), rounded up: line j
    has the row sums of column block j. Z_COLUMNS (M/BM, N), rounded up: line i has the column sums of row
    block i. Nothing beyond M rows or N columns is counted or written.
    """
    i, j, r, c = tile_index(M, N, BM, BN)
    s = cosines(X, Y, i * BM, j * BN, M, N, D, BM, BN, BK, False, "ieee")
    e = tl.exp2(s * tl.load(SCALE_LOG2) - tl.load(SHIFT))
    other = (r < M)[:, None] & (c < N)[None, :] & (c[None, :] != (r + offset)[:, None])
    e = tl.where(other, e, 0.0)
    tl.store(Z_ROWS + j * M + r, tl.sum(e, 1), mask=r < M)
    tl.store(Z_COLUMNS + i * N + c, tl.sum(e, 0), mask=c < N)
