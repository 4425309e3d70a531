"""One tile of similarities. The forward pass, the rescue and the backward pass all call `cosines`.

So the backward pass computes the similarities as the forward pass did. Only the two kernels for
Hopper have loops of their own. A tile is BM rows of X against BN rows of Y, BK of the D dimensions
at a time:

    X (M, D)    row block  (BM, BK) --+
                                      +-- tl.dot, D/BK times --> (BM, BN) cosines in registers
    Y (N, D)    column block (BN, BK) +

X and Y are pointers (any GPU, and the interpreter) or TMA descriptors (Hopper and Blackwell). With
a descriptor one thread requests a whole block, and elements outside the tensor arrive as zeros.
Left out: everything that is done with a tile.
"""

import triton
import triton.language as tl

# Arguments that change with the batch. If Triton specialised on them, it would compile each kernel
# again when one of them stops being a multiple of 16, and when one is 1.
BATCH = ["M", "N", "offset"]


@triton.jit
def block(X, row, k, height, D: tl.constexpr, BR: tl.constexpr, BK: tl.constexpr,
          TMA: tl.constexpr):  # fmt: skip
    """A (BR, BK) block of X (height, D) from (row, k) on, zeros outside."""
    if TMA:
        x = X.load([row, k])
    else:
        r = row + tl.arange(0, BR)
        d = k + tl.arange(0, BK)
        inside = (r < height)[:, None]
        if D % BK != 0:
            inside = inside & (d < D)[None, :]
        # int64: N * D passes 2^31 at N = 2^22, D = 512
        x = tl.load(X + r[:, None].to(tl.int64) * D + d[None, :], mask=inside, other=0.0)
    return x


@triton.jit
def cosines(X, Y, row, column, M, N, D: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
            BK: tl.constexpr, TMA: tl.constexpr, PRECISION: tl.constexpr):  # fmt: skip
    """(BM, BN) float32: rows row.. of X (M, D) times rows column.. of Y (N, D).

    # reads (BM + BN) D operands for 2 BM BN D flop: 64 flop a byte at 128 x 128 in 16 bits
    """
    tile = tl.zeros((BM, BN), tl.float32)
    for k in range(0, D, BK):
        x = block(X, row, k, M, D, BM, BK, TMA)  # (BM, BK)
        y = block(Y, column, k, N, D, BN, BK, TMA)  # (BN, BK)
        tile = tl.dot(x, tl.trans(y), tile, input_precision=PRECISION)
    return tile


@triton.jit
def tile_index(M, N, BM: tl.constexpr, BN: tl.constexpr):
    """This program's tile: (row block, column block, row numbers (BM,), column numbers (BN,))."""
    return tile_at(tl.program_id(0), M, N, BM, BN)


@triton.jit
def tile_at(pid, M, N, BM: tl.constexpr, BN: tl.constexpr):
    """As `tile_index`, for the program with the number pid.

    Programs take eight row blocks of one column block before the next column block, so that what
    they read stays in L2.
    """
    down, across = tl.cdiv(M, BM), tl.cdiv(N, BN)
    band = pid // (8 * across)
    height = tl.minimum(down - 8 * band, 8)
    inside = pid % (8 * across)
    i, j = 8 * band + inside % height, inside // height
    return i, j, i * BM + tl.arange(0, BM), j * BN + tl.arange(0, BN)
