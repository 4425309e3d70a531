"""The fused backward pass: the gradient by the logits, a chunk at a time, then two products.

The forward pass's tiles are computed again, and each is turned into a tile of

    G = (P_row + P_col) / 2, and -(one_minus_p_row + one_minus_p_col) / 2 where row and column match

`gradient_kernel` says how, with two exponentials for each element. `ordinary_gradient_kernel`, or
`wide_gradient_kernel` on Hopper, gets by with one, but is wrong where a tile has a match, an edge or a row
with a very small sum. It computes all tiles, and then `gradient_kernel` computes those few again. G is stored, in the operands' dtype, in a
reusable c x N buffer. Two matrix products give the gradients by the unit rows: dX = G Y and
dY += G^T X. They are the library's (launch.py): a kernel of our own would have one program for each tile
of the small (c, D) result, too few to fill a card. That is 8 N^2 D flop with the forward pass, and only S
is computed twice. Attention kernels keep G in registers instead. FlashAttention-2 adds up dX
with atomics, whose order varies; Triton's tutorial computes S once for dX and once for dY, which would
be 10 N^2 D here. Both keep rows of dX or dY in registers: 64 rows fill half of an SM's at D = 512 and
all at 1,024. Left out: the gradient by the features themselves (normalize.py).
"""

import triton
import triton.language as tl

from kernels.fused.tile import BATCH, cosines, tile_at, tile_index


@triton.jit
def power_shift(SCALE_LOG2):
    """The shift of `ordinary_gradient`, a whole number of bits, 100 below the largest similarity."""
    return tl.floor(tl.load(SCALE_LOG2)) - 100


@triton.jit(do_not_specialize=BATCH)
def gradient_kernel(X, Y, SCALE_LOG2, LSE_ROWS, LSE_COLUMNS, ONE_MINUS_P_ROWS, ONE_MINUS_P_COLUMNS,
                    LOWEST_ROWS, LOWEST_COLUMNS, G, M, N, offset, stride, GRAD_SCALE: tl.constexpr,
                    D: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
                    TMA: tl.constexpr, PRECISION: tl.constexpr):  # fmt: skip
    """G (M, N) = GRAD_SCALE times the gradient of N * loss by the logits, in the special tiles: those that
    have a match, columns beyond N, or an lse too low for `ordinary_gradient`. Columns from N on, up to
    stride, get any finite numbers.

    X (M, D), Y (N, D); LOWEST_ROWS, LOWEST_COLUMNS: the least of LSE_ROWS and of LSE_COLUMNS; stride: from row
    to row of G, a multiple of 16.

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
            # 2. both softmaxes; S <= lse, so no exponential exceeds 1 but for rounding. Outside, lse = inf
            # makes it 0. In columns beyond N, S is 0 and a row's lse may be negative: limited to 1 bit
            lse_rows = tl.load(LSE_ROWS + r, mask=r < M, other=float("inf"))
            lse_columns = tl.load(LSE_COLUMNS + c, mask=c < N, other=float("inf"))
            bits_rows = tl.minimum(s - lse_rows[:, None], 1.0, tl.PropagateNan.ALL)
            g = tl.exp2(bits_rows) + tl.exp2(s - lse_columns[None, :])
            # 3. the matches: P - 1 as -one_minus_p, in float32 before rounding, so that nothing cancels
            one_minus_p_rows = tl.load(ONE_MINUS_P_ROWS + r, mask=r < M, other=0.0)
            one_minus_p_columns = tl.load(ONE_MINUS_P_COLUMNS + c, mask=c < N, other=0.0)
            match = c[None, :] == (r + offset)[:, None]
            g = tl.where(match, -(one_minus_p_rows[:, None] + one_minus_p_columns[None, :]), g)
            # 4. |g| <= 2; GRAD_SCALE / 2 is 2^14 for float16, to use its range. Stored up to stride and
            # not to N: the compiler knows that stride is a multiple of 16, and stores 16 bytes at a time
            at = r[:, None].to(tl.int64) * stride + c[None, :]
            g = (g * (GRAD_SCALE / 2)).to(G.dtype.element_ty)
            tl.store(G + at, g, mask=(r < M)[:, None] & (c < stride)[None, :])


@triton.jit
def factors(shift, LSE, at, count, GRAD_SCALE: tl.constexpr):
    """What `ordinary_gradient` multiplies rows or columns by: GRAD_SCALE / 2 times 2^(shift - lse)."""
    lse = tl.load(LSE + at, mask=at < count, other=float("inf"))
    return tl.exp2(shift - lse) * (GRAD_SCALE / 2)


@triton.jit
def ordinary_gradient(cosine, scale_log2, shift, row_factor, j, LSE_COLUMNS, N,
                      GRAD_SCALE: tl.constexpr, BN: tl.constexpr):  # fmt: skip
    """A tile of G, (BM, BN) float32, in column block j; right where the tile is not special.

    P_row + P_col = 2^(S - shift) (2^(shift - lse_row) + 2^(shift - lse_column)): no power overflows where
    lse >= shift - 60, and what vanishes is a probability below 2^-126 times 2^60.
    """
    c = j * BN + tl.arange(0, BN)
    column_factor = factors(shift, LSE_COLUMNS, c, N, GRAD_SCALE)
    return tl.exp2(cosine * scale_log2 - shift) * (row_factor[:, None] + column_factor[None, :])


@triton.jit(do_not_specialize=BATCH)
def ordinary_gradient_kernel(X, Y, SCALE_LOG2, LSE_ROWS, LSE_COLUMNS, G, M, N, stride,
                             GRAD_SCALE: tl.constexpr, D: tl.constexpr, BM: tl.constexpr,
                             BN: tl.constexpr, BK: tl.constexpr, TMA: tl.constexpr,
                             PRECISION: tl.constexpr):  # fmt: skip
    """As `gradient_kernel` for tiles that are not special; any numbers in those that are.

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
    """As `ordinary_gradient_kernel`, for Hopper: programs take many tiles, each of three parts side by side.

    One warp group fetches operands, and two others multiply, each half of a tile's rows. While one of these
    takes exponentials, the other may multiply. The parts share the rows of X, and each thread has 192 sums.

    # reads M N D (1/BM + 1/BN) operands, writes M stride of G
    """
    # the compiler gives warps different work only with descriptors that are made here
    PART: tl.constexpr = BN // 3
    X = tl.make_tensor_descriptor(X, [M, D], [D, 1], [BM, BK])
    Y = tl.make_tensor_descriptor(Y, [N, D], [D, 1], [PART, BK])
    out = tl.make_tensor_descriptor(G, [M, stride], [stride, 1], [BM, PART])
    scale_log2, shift = tl.load(SCALE_LOG2), power_shift(SCALE_LOG2)
    tiles = tl.cdiv(M, BM) * tl.cdiv(N, BN)
    for tile in tl.range(tl.program_id(0), tiles, tl.num_programs(0), warp_specialize=True):
        # 1. the forward pass's tiles; programs share a few column blocks, which stay in L2 with X
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
