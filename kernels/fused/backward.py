"""The fused backward pass: the gradient of the logits, a chunk at a time, then two products.

The tiles of the forward pass are computed again, and each is turned into a tile of

    G = (P_row + P_col) / 2, and -(one_minus_p_row + one_minus_p_col) / 2 where row and column match

`gradient_kernel` does this with two exponentials for each element. `ordinary_gradient_kernel`, or
`wide_gradient_kernel` on Hopper, needs only one. But its result is wrong in special tiles, which
have a match, an edge, or a row or column with a very small sum. So it computes all tiles first, and
then `gradient_kernel` computes the few special ones again.

G is stored in the operands' dtype, in a c x N buffer that is reused for each chunk. Two matrix
products then give the gradients of the unit rows: dX = G Y and dY += G^T X. The library computes
them (launch.py), because a kernel of our own would have one program for each tile of the small (c,
D) result, too few to fill a card. Together with the forward pass this takes 8 N^2 D flop, and only
S is computed twice.

Attention kernels keep G in registers instead. FlashAttention-2 adds up dX with atomics, whose order
varies. Triton's tutorial computes S once for dX and once for dY, which would be 10 N^2 D here. Both
keep rows of dX or dY in registers: 64 rows fill half of an SM's registers at D = 512, and all of
them at 1,024. Left out: the gradient of the features themselves (normalize.py).
"""

import triton
import triton.language as tl

from kernels.fused.tile import BATCH, cosines, tile_at, tile_index


@triton.jit
def power_shift(SCALE_LOG2):
    """The shift of `ordinary_gradient`: whole bits, 100 below the largest possible similarity."""
    return tl.floor(tl.load(SCALE_LOG2)) - 100


@triton.jit(do_not_specialize=BATCH)
def gradient_kernel(X, Y, SCALE_LOG2, LSE_ROWS, LSE_COLUMNS, ONE_MINUS_P_ROWS, ONE_MINUS_P_COLUMNS,
                    LOWEST_ROWS, LOWEST_COLUMNS, G, M, N, offset, stride, GRAD_SCALE: tl.constexpr,
                    D: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
                    TMA: tl.constexpr, PRECISION: tl.constexpr):  # fmt: skip
    """G (M, N) = GRAD_SCALE times d(N loss) / d(logits), in the special tiles.

    A special tile has a match, columns beyond N, or an lse that is too low for `ordinary_gradient`.
    Columns of G from N to stride get any finite numbers.

    X (M, D), Y (N, D); LOWEST_ROWS, LOWEST_COLUMNS: the least of LSE_ROWS and of LSE_COLUMNS;
    stride: the distance between rows of G, in elements, a multiple of 16.

    # reads M N D (1/BM + 1/BN) operands, writes M stride of G
    """
    for tile in range(tl.program_id(0), tl.cdiv(M, BM) * tl.cdiv(N, BN), tl.num_programs(0)):
        i, j, r, c = tile_at(tile, M, N, BM, BN)
        first = j * BN - offset - i * BM  # the row of this tile that matches its first column
        special = ((first > -BN) & (first < BM)) | (j * BN + BN > N)
        too_low = power_shift(SCALE_LOG2) - 60
        if tl.minimum(tl.load(LOWEST_ROWS), tl.load(LOWEST_COLUMNS)) < too_low:
            of_rows = tl.min(tl.load(LSE_ROWS + r, mask=r < M, other=float("inf")), 0)
            of_columns = tl.min(tl.load(LSE_COLUMNS + c, mask=c < N, other=float("inf")), 0)
            special = special | (tl.minimum(of_rows, of_columns) < too_low)
        if special:
            # 1. the forward pass's tile, in bits
            s = cosines(X, Y, i * BM, j * BN, M, N, D, BM, BN, BK, TMA, PRECISION)
            s = s * tl.load(SCALE_LOG2)
            # 2. both softmaxes. S <= lse, so no exponential exceeds 1 except by rounding. Rows and
            # columns outside have lse = inf, which makes the exponential 0. In columns beyond N, S
            # is 0, but a row's lse may be negative, so the exponent is limited to 1
            lse_rows = tl.load(LSE_ROWS + r, mask=r < M, other=float("inf"))
            lse_columns = tl.load(LSE_COLUMNS + c, mask=c < N, other=float("inf"))
            bits_rows = tl.minimum(s - lse_rows[:, None], 1.0, tl.PropagateNan.ALL)
            g = tl.exp2(bits_rows) + tl.exp2(s - lse_columns[None, :])
            # 3. the matches: P - 1 is -one_minus_p, in float32 before rounding, so that no digits
            # cancel
            one_minus_p_rows = tl.load(ONE_MINUS_P_ROWS + r, mask=r < M, other=0.0)
            one_minus_p_columns = tl.load(ONE_MINUS_P_COLUMNS + c, mask=c < N, other=0.0)
            match = c[None, :] == (r + offset)[:, None]
            g = tl.where(match, -(one_minus_p_rows[:, None] + one_minus_p_columns[None, :]), g)
            # 4. |g| <= 2. GRAD_SCALE / 2 is 2^14 for float16, to use its range. G is stored up to
            # stride instead of N, because the compiler knows that stride is a multiple of 16, and
            # so stores 16 bytes at a time
            at = r[:, None].to(tl.int64) * stride + c[None, :]
            g = (g * (GRAD_SCALE / 2)).to(G.dtype.element_ty)
            tl.store(G + at, g, mask=(r < M)[:, None] & (c < stride)[None, :])


@triton.jit
def factors(shift, LSE, at, count, GRAD_SCALE: tl.constexpr):
    """The factors of rows or columns in `ordinary_gradient`: GRAD_SCALE / 2 2^(shift - lse)."""
    lse = tl.load(LSE + at, mask=at < count, other=float("inf"))
    return tl.exp2(shift - lse) * (GRAD_SCALE / 2)


@triton.jit
def ordinary_gradient(cosine, scale_log2, shift, row_factor, j, LSE_COLUMNS, N,
                      GRAD_SCALE: tl.constexpr, BN: tl.constexpr):  # fmt: skip
    """A tile of G, (BM, BN) float32, in column block j. Only right if the tile is not special.

    P_row + P_col = 2^(S - shift) (2^(shift - lse_row) + 2^(shift - lse_column)). No power overflows
    if lse >= shift - 60. A probability vanishes only if it is below 2^-126 times 2^60.
    """
    c = j * BN + tl.arange(0, BN)
    column_factor = factors(shift, LSE_COLUMNS, c, N, GRAD_SCALE)
    return tl.exp2(cosine * scale_log2 - shift) * (row_factor[:, None] + column_factor[None, :])


@triton.jit(do_not_specialize=BATCH)
def ordinary_gradient_kernel(X, Y, SCALE_LOG2, LSE_ROWS, LSE_COLUMNS, G, M, N, stride,
                             GRAD_SCALE: tl.constexpr, D: tl.constexpr, BM: tl.constexpr,
                             BN: tl.constexpr, BK: tl.constexpr, TMA: tl.constexpr,
                             PRECISION: tl.constexpr):  # fmt: skip
    """As `gradient_kernel`, but for tiles that are not special. Special tiles get any numbers.

    # reads M N D (1/BM + 1/BN) operands, writes M stride of G
    """
    i, j, r, c = tile_index(M, N, BM, BN)
    s = cosines(X, Y, i * BM, j * BN, M, N, D, BM, BN, BK, TMA, PRECISION)
    scale_log2, shift = tl.load(SCALE_LOG2), power_shift(SCALE_LOG2)
    row_factor = factors(shift, LSE_ROWS, r, M, GRAD_SCALE)
    g = ordinary_gradient(s, scale_log2, shift, row_factor, j, LSE_COLUMNS, N, GRAD_SCALE, BN)
    at = r[:, None].to(tl.int64) * stride + c[None, :]
    tl.store(G + at, g.to(G.dtype.element_ty), mask=(r < M)[:, None] & (c < stride)[None, :])


@triton.jit(do_not_specialize=BATCH)
def wide_gradient_kernel(X, Y, SCALE_LOG2, LSE_ROWS, LSE_COLUMNS, G, M, N, stride,
                         GRAD_SCALE: tl.constexpr, D: tl.constexpr, BM: tl.constexpr,
                         BN: tl.constexpr, BK: tl.constexpr, PRECISION: tl.constexpr):  # fmt: skip
    """As `ordinary_gradient_kernel`, for Hopper. A program takes many tiles.

    One warp group fetches operands. Each of two others multiplies half of a tile's rows, and while
    one of the two takes exponentials, the other may multiply. A tile has three parts side by side,
    which share the rows of X. Each thread has 192 sums.

    # reads M N D (1/BM + 1/BN) operands, writes M stride of G
    """
    # the compiler gives warps different work only if the descriptors are made in the kernel
    PART: tl.constexpr = BN // 3
    X = tl.make_tensor_descriptor(X, [M, D], [D, 1], [BM, BK])
    Y = tl.make_tensor_descriptor(Y, [N, D], [D, 1], [PART, BK])
    out = tl.make_tensor_descriptor(G, [M, stride], [stride, 1], [BM, PART])
    scale_log2, shift = tl.load(SCALE_LOG2), power_shift(SCALE_LOG2)
    tiles = tl.cdiv(M, BM) * tl.cdiv(N, BN)
    for tile in tl.range(tl.program_id(0), tiles, tl.num_programs(0), warp_specialize=True):
        # 1. the tiles of the forward pass; at any time the programs share a few column blocks,
        # which stay in L2 together with X
        i, j = tile % tl.cdiv(M, BM), tile // tl.cdiv(M, BM) * 3
        left = tl.zeros((BM, PART), tl.float32)
        middle, right = left, left
        for k in range(0, D, BK):
            x = X.load([i * BM, k])
            y = tl.trans(Y.load([j * PART, k]))
            left = tl.dot(x, y, left, input_precision=PRECISION)
            y = tl.trans(Y.load([j * PART + PART, k]))
            middle = tl.dot(x, y, middle, input_precision=PRECISION)
            y = tl.trans(Y.load([j * PART + 2 * PART, k]))
            right = tl.dot(x, y, right, input_precision=PRECISION)
        # 2. the gradient; a descriptor stores nothing beyond M rows and stride columns
        r = i * BM + tl.arange(0, BM)
        row_factor = factors(shift, LSE_ROWS, r, M, GRAD_SCALE)
        vectors = scale_log2, shift, row_factor
        g = ordinary_gradient(left, *vectors, j, LSE_COLUMNS, N, GRAD_SCALE, PART)
        out.store([i * BM, j * PART], g.to(G.dtype.element_ty))
        g = ordinary_gradient(middle, *vectors, j + 1, LSE_COLUMNS, N, GRAD_SCALE, PART)
        out.store([i * BM, (j + 1) * PART], g.to(G.dtype.element_ty))
        g = ordinary_gradient(right, *vectors, j + 2, LSE_COLUMNS, N, GRAD_SCALE, PART)
        out.store([i * BM, (j + 2) * PART], g.to(G.dtype.element_ty))
