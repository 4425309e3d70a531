"""The fused backward pass: the gradient by the similarities, a chunk at a time, then two products.

`gradient_kernel` makes the forward pass's tiles again and turns each into a tile of

    G = (P_row + P_col) / 2, and -(rest_row + rest_col) / 2 where row and column match

which goes, in the operands' 16 bits, into a reusable c x N buffer. Two matrix products carry it to
the unit rows: dX = G Y and dY += G^T X. That is 8 N^2 D flop with the forward pass, and nothing is
computed twice but S. The shape of FlashAttention's backward pass, which keeps G in registers, has
to make S once for dX and once for dY (10 N^2 D) and at D >= 512 no longer fits a Hopper's registers
(lesson 08 has the compiler's own words).
"""

import triton
import triton.language as tl

from .tile import BATCH, block, cosines, place


@triton.jit(do_not_specialize=BATCH)
def gradient_kernel(X, Y, BITS, LSE_ROWS, LSE_COLUMNS, REST_ROWS, REST_COLUMNS, G,
                    M, N, offset, stride, GAIN: tl.constexpr,
                    D: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
                    TMA: tl.constexpr, PRECISION: tl.constexpr):  # fmt: skip
    """G (M, N) = GAIN times the gradient of N * loss by S; columns N to stride get any finite numbers.

    X (M, D), Y (N, D); stride: from row to row of G, a multiple of 16.

    # reads M N D (1/BM + 1/BN) operands, writes M N of G
    """
    # 1. the forward pass's tile, in bits
    i, j = place(M, N, BM, BN)
    r = i * BM + tl.arange(0, BM)
    c = j * BN + tl.arange(0, BN)
    s = cosines(X, Y, i * BM, j * BN, M, N, D, BM, BN, BK, TMA, PRECISION) * tl.load(BITS)
    # 2. both softmaxes; S <= lse, so no exponential exceeds 1. Outside, lse = inf makes it 0. Only the
    # rows' part in columns N to stride has S = 0 and an lse that may be negative: limited, it is finite
    lse_rows = tl.load(LSE_ROWS + r, mask=r < M, other=float("inf"))
    lse_columns = tl.load(LSE_COLUMNS + c, mask=c < N, other=float("inf"))
    bits_rows = tl.minimum(s - lse_rows[:, None], 1.0, tl.PropagateNan.ALL)
    g = tl.exp2(bits_rows) + tl.exp2(s - lse_columns[None, :])
    # 3. the matches: P - 1 as -rest, in float32 before rounding, so that nothing cancels
    rest_rows = tl.load(REST_ROWS + r, mask=r < M, other=0.0)
    rest_columns = tl.load(REST_COLUMNS + c, mask=c < N, other=0.0)
    match = c[None, :] == (r + offset)[:, None]
    g = tl.where(match, -(rest_rows[:, None] + rest_columns[None, :]), g)
    # 4. |g| <= 2; GAIN / 2 fills the range of G's dtype. Stored up to stride, not to N: the compiler
    # knows it for a multiple of 16, so that one store takes 16 bytes
    at = r[:, None].to(tl.int64) * stride + c[None, :]
    g = (g * (GAIN / 2)).to(G.dtype.element_ty)
    tl.store(G + at, g, mask=(r < M)[:, None] & (c < stride)[None, :])


@triton.jit(do_not_specialize=["M", "K"])  # N and stride are multiples of 16 whatever the batch
def product_kernel(A, B, C, M, N, K, stride, TURNED: tl.constexpr, ADD: tl.constexpr,
                   BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
                   TMA: tl.constexpr, PRECISION: tl.constexpr):  # fmt: skip
    """C (M, N) = A B (ADD: C += A B), float32. B (K, N); A (M, K), or stored as (K, M) if TURNED.

    stride: from row to row of A as it is stored, a multiple of 16. A is finite up to there.

    # reads M N K (1/BM + 1/BN) operands, writes M N sums (and reads them if ADD)
    """
    i, j = place(M, N, BM, BN)
    r = i * BM + tl.arange(0, BM)
    c = j * BN + tl.arange(0, BN)
    at = C + r[:, None].to(tl.int64) * N + c[None, :]
    inside = (r < M)[:, None] & (c < N)[None, :]
    # C first: added at the end, a second tile of 128 x 256 would not fit the registers
    sum = tl.load(at, mask=inside, other=0.0) if ADD else tl.zeros((BM, BN), tl.float32)
    for k in range(0, K, BK):
        if TURNED:
            a = tl.trans(block(A, k, i * BM, K, stride, stride, BK, BM, False, TMA))  # (BM, BK)
        else:
            a = block(A, i * BM, k, M, stride, stride, BM, BK, False, TMA)
        b = block(B, k, j * BN, K, N, N, BK, BN, False, TMA)  # (BK, BN)
        sum = tl.dot(a, b, sum, input_precision=PRECISION)
    tl.store(at, sum, mask=inside)
