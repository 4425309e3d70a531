"""The right answer to lessons/exercises/ex07_2_row_sums.py."""

import pytest

triton = pytest.importorskip("triton")
import triton.language as tl  # noqa: E402

from kernels.fused.tile import cosines  # noqa: E402


@triton.jit
def row_sums_kernel(X, Y, SCALE_LOG2, SHIFT, Z, M, N, D: tl.constexpr,
                    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):  # fmt: skip
    """Z[i] = sum over all N rows y of Y of 2^(SCALE_LOG2 <x_i, y> - SHIFT), in float32.

    X (M, D), Y (N, D); SCALE_LOG2, SHIFT: pointers to one float32 each; Z (M,). Program p computes
    the BM rows from p BM on.
    """
    row = tl.program_id(0) * BM
    r = row + tl.arange(0, BM)
    z = tl.zeros((BM,), tl.float32)
    for column in range(0, N, BN):
        s = cosines(X, Y, row, column, M, N, D, BM, BN, BK, False, "ieee")
        e = tl.exp2(s * tl.load(SCALE_LOG2) - tl.load(SHIFT))
        e = tl.where((column + tl.arange(0, BN) < N)[None, :], e, 0.0)
        z += tl.sum(e, 1)
    tl.store(Z + r, z, mask=r < M)
