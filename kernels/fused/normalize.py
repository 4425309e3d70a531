"""Scale rows to length 1, take a gradient back through this, and compute the matches' cosines.

A program holds ROWS whole rows (D up to 2048, padded to a power of two, DP). All three kernels are
bound by memory: each reads and writes everything once. They compute normalize, normalize_backward
and diagonal of reference.py. Rows of zeros (whose norm is infinite) and very large or small rows
are treated as there.
"""

import triton
import triton.language as tl


@triton.jit
def row_index(M, D: tl.constexpr, DP: tl.constexpr, ROWS: tl.constexpr):
    """This program's row numbers (ROWS,), column numbers (DP,), and which elements exist."""
    r = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    d = tl.arange(0, DP)
    return r, d, (r < M)[:, None] & (d < D)[None, :]


@triton.jit(do_not_specialize=["M"])  # as in tile.py
def normalize_kernel(X, XHAT, NORM, M, stride_m, stride_d,
                     D: tl.constexpr, DP: tl.constexpr, ROWS: tl.constexpr):  # fmt: skip
    """XHAT = X / |X| by rows, in XHAT's dtype; NORM = |X| in float32.

    # reads M D of X, writes M D of XHAT and M norms
    """
    # 1. the rows, in float32, whatever their strides
    r, d, inside = row_index(M, D, DP, ROWS)
    at = r[:, None].to(tl.int64) * stride_m + d[None, :].to(tl.int64) * stride_d
    x = tl.load(X + at, mask=inside, other=0.0).to(tl.float32)  # (ROWS, DP)
    # 2. the largest magnitude becomes 1, so that squares neither overflow nor vanish
    largest = tl.max(tl.abs(x), 1)
    largest = tl.where(largest == 0.0, 1.0, largest)
    x = x / largest[:, None]
    # 3. the length now: 1 to sqrt(D), or 0 for a row of zeros, whose norm is given as infinite
    relative = tl.sqrt(tl.sum(x * x, 1))
    relative = tl.where(relative == 0.0, float("inf"), relative)
    # 4. store
    xhat = x / relative[:, None]
    at = r[:, None].to(tl.int64) * D + d[None, :]
    tl.store(XHAT + at, xhat.to(XHAT.dtype.element_ty), mask=inside)
    tl.store(NORM + r, largest * relative, mask=r < M)


@triton.jit(do_not_specialize=["M"])  # as in tile.py
def normalize_backward_kernel(G, XHAT, NORM, FACTOR, DX, ROW_DOT, M,
                              D: tl.constexpr, DP: tl.constexpr, ROWS: tl.constexpr):  # fmt: skip
    """ROW_DOT = <xhat, g'>, DX = (g' - xhat ROW_DOT) / |x|, with g' = FACTOR * G. DX may be G.

    # reads M D of G and of XHAT, writes M D of DX
    """
    # 1. the gradient with respect to the unit rows, and the unit rows
    r, d, inside = row_index(M, D, DP, ROWS)
    at = r[:, None].to(tl.int64) * D + d[None, :]
    g = tl.load(G + at, mask=inside, other=0.0) * tl.load(FACTOR)
    xhat = tl.load(XHAT + at, mask=inside, other=0.0).to(tl.float32)
    # 2. the component parallel to the row: it changes no direction; its sum over all rows gives the
    # gradient of logit_scale
    row_dot = tl.sum(g * xhat, 1)
    tl.store(ROW_DOT + r, row_dot, mask=r < M)
    # 3. the perpendicular component, over the feature's length; an infinite norm makes it zero
    norm = tl.load(NORM + r, mask=r < M, other=1.0)
    dx = (g - xhat * row_dot[:, None]) / norm[:, None]
    tl.store(DX + at, dx.to(DX.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["M"])  # as in tile.py
def diagonal_kernel(X, Y, OUT, M, D: tl.constexpr, DP: tl.constexpr, ROWS: tl.constexpr):
    """OUT = <x, y> by rows, in float32.

    # reads 2 M D, writes M
    """
    r, d, inside = row_index(M, D, DP, ROWS)
    at = r[:, None].to(tl.int64) * D + d[None, :]
    x = tl.load(X + at, mask=inside, other=0.0).to(tl.float32)
    y = tl.load(Y + at, mask=inside, other=0.0).to(tl.float32)
    tl.store(OUT + r, tl.sum(x * y, 1), mask=r < M)
