"""The fused backward pass: the gradient by the logits, a chunk at a time, then two products.

`gradient_kernel` computes the forward pass's tiles again and turns each into a tile of

    G = (P_row + P_col) / 2, and -(one_minus_p_row + one_minus_p_col) / 2 where row and column match

which is stored, in the operands' dtype, in a reusable c x N buffer. Two matrix products give the
gradients by the unit rows: dX = G Y and dY += G^T X. On CUDA they are the library's (launch.py): these are
plain products, and few programs of `product_kernel` would have work, one for each tile of a (c, D) result. That is 8 N^2 D flop with the forward pass, and
only S is computed twice. Attention kernels keep G in registers instead. FlashAttention-2 adds up dX
with atomics, whose order varies; Triton's tutorial computes S once for dX and once for dY, which would
be 10 N^2 D here. Both keep rows of dX or dY in registers: 64 rows fill half of an SM's at D = 512 and
all at 1,024. Left out: the gradient by the features themselves (normalize.py).
"""

import triton
import triton.language as tl

from kernels.fused.tile import BATCH, block, cosines, tile_index


@triton.jit(do_not_specialize=BATCH)
def gradient_kernel(X, Y, SCALE_LOG2, LSE_ROWS, LSE_COLUMNS, ONE_MINUS_P_ROWS, ONE_MINUS_P_COLUMNS, G,
                    M, N, offset, stride, GRAD_SCALE: tl.constexpr,
                    D: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
                    TMA: tl.constexpr, PRECISION: tl.constexpr):  # fmt: skip
    """G (M, N) = GRAD_SCALE times the gradient of N * loss by the logits. Columns from N on, up to
    stride, get any finite numbers.

    X (M, D), Y (N, D); stride: from row to row of G, a multiple of 16.

    # reads M N D (1/BM + 1/BN) operands, writes M stride of G
    """
    # 1. the forward pass's tile, in bits
    i, j, r, c = tile_index(M, N, BM, BN)
    scale_log2 = tl.load(SCALE_LOG2)
    s = cosines(X, Y, i * BM, j * BN, M, N, D, BM, BN, BK, TMA, PRECISION) * scale_log2
    lse_rows = tl.load(LSE_ROWS + r, mask=r < M, other=float("inf"))
    lse_columns = tl.load(LSE_COLUMNS + c, mask=c < N, other=float("inf"))
    # 2. P_row + P_col = 2^(S - shift) (2^(shift - lse_row) + 2^(shift - lse_column)): one exponential for
    # each element. Accurate where every lse >= shift - 60: what vanishes then is below 2^-126 times
    # 2^60, and no power overflows. Other tiles, and those with a match or an edge, take 3.
    shift = tl.floor(scale_log2) - 100
    lowest = tl.minimum(tl.min(lse_rows, 0), tl.min(lse_columns, 0))
    first = j * BN - offset - i * BM  # the row of this tile that matches its first column
    if ((first > -BN) & (first < BM)) | (j * BN + BN > N) | (lowest < shift - 60):
        # 3. both softmaxes; S <= lse, so no exponential exceeds 1 but for rounding. Outside, lse = inf
        # makes it 0. In columns beyond N, S is 0 and a row's lse may be negative: limited to 1 bit
        bits_rows = tl.minimum(s - lse_rows[:, None], 1.0, tl.PropagateNan.ALL)
        g = tl.exp2(bits_rows) + tl.exp2(s - lse_columns[None, :])
        # the matches: P - 1 as -one_minus_p, in float32 before rounding, so that nothing cancels
        one_minus_p_rows = tl.load(ONE_MINUS_P_ROWS + r, mask=r < M, other=0.0)
        one_minus_p_columns = tl.load(ONE_MINUS_P_COLUMNS + c, mask=c < N, other=0.0)
        match = c[None, :] == (r + offset)[:, None]
        g = tl.where(match, -(one_minus_p_rows[:, None] + one_minus_p_columns[None, :]), g)
        g = g * (GRAD_SCALE / 2)
    else:
        row_factor = tl.exp2(shift - lse_rows) * (GRAD_SCALE / 2)
        column_factor = tl.exp2(shift - lse_columns) * (GRAD_SCALE / 2)
        g = tl.exp2(s - shift) * (row_factor[:, None] + column_factor[None, :])
    # 4. |g| <= GRAD_SCALE: GRAD_SCALE / 2 is 2^14 for float16, to use its range. Stored up to stride and not
    # to N: the compiler knows that stride is a multiple of 16, and stores 16 bytes at a time
    at = r[:, None].to(tl.int64) * stride + c[None, :]
    tl.store(G + at, g.to(G.dtype.element_ty), mask=(r < M)[:, None] & (c < stride)[None, :])


@triton.jit(do_not_specialize=["M", "K"])  # N and stride are multiples of 16 whatever the batch
def product_kernel(A, B, C, M, N, K, stride, TRANSPOSED: tl.constexpr, ADD: tl.constexpr,
                   BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
                   TMA: tl.constexpr, PRECISION: tl.constexpr):  # fmt: skip
    """C (M, N) = A B (ADD: C += A B), float32. B (K, N); A (M, K), or stored as (K, M) if TRANSPOSED.

    stride: from row to row of A as it is stored, a multiple of 16. A is finite up to there.

    # reads M N K (1/BM + 1/BN) operands, writes M N sums (and reads them if ADD)
    """
    i, j, r, c = tile_index(M, N, BM, BN)
    at = C + r[:, None].to(tl.int64) * N + c[None, :]
    inside = (r < M)[:, None] & (c < N)[None, :]
    # C first: added at the end, a second tile of 128 x 256 would not fit the registers
    sum = tl.load(at, mask=inside, other=0.0) if ADD else tl.zeros((BM, BN), tl.float32)
    for k in range(0, K, BK):
        if TRANSPOSED:
            a = tl.trans(block(A, k, i * BM, K, stride, stride, BK, BM, False, TMA))  # (BM, BK)
        else:
            a = block(A, i * BM, k, M, stride, stride, BM, BK, False, TMA)
        b = block(B, k, j * BN, K, N, N, BK, BN, False, TMA)  # (BK, BN)
        sum = tl.dot(a, b, sum, input_precision=PRECISION)
    tl.store(at, sum, mask=inside)
