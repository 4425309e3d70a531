"""The fused forward pass: exponential sums of every row and every column; logits are not stored.

Each program of `sums_kernel` computes a strip of tiles, one below the other. It takes exponentials
in registers and adds them up twice, over rows and over columns. A thread holds elements of few
rows, so the sum of a row takes two shuffles, but the sum of a column would take fifty times as many
instructions. Therefore a program keeps the column sums of its strip in registers, and its threads
exchange them only once, after the last tile. On Hopper `tall_sums_kernel` computes all but the
tiles of the matches, and hides the exponentials of a tile behind the products of the next one.

Partial sums are added in a fixed order afterwards (no atomics), so a result repeats bit for bit.
`online_kernel` computes again the rows for which the fixed shift was not accurate (softmax.py). It
is always launched, and returns at once if no row is flagged. So the host need not wait for the
flags.
Left out: the losses (finish.py).
"""

import triton
import triton.language as tl

from kernels.fused.tile import BATCH, cosines, tile_index


@triton.jit(do_not_specialize=[*BATCH, "matched"])
def sums_kernel(X, Y, SCALE_LOG2, SHIFT, Z_ROWS, Z_COLUMNS, M, N, offset, matched,
                D: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
                TMA: tl.constexpr, PRECISION: tl.constexpr, STRIP: tl.constexpr = 1):  # fmt: skip
    """Partial sums of 2^(S - SHIFT) without the matches (column = row + offset).

    X (M, D), Y (N, D); Z_ROWS (N/BN, M), Z_COLUMNS (M/(BM STRIP), N), all rounded up. matched: 1 to
    compute only what `tall_sums_kernel` leaves out. Z_COLUMNS is then (N,), and the sums are added
    to it.

    # reads M N D (1/BM + 1/BN) operands, writes M N (1/BN + 1/(BM STRIP)) sums: no logits
    """
    # with `matched`, a program takes one column block and the rows that match it, at most BN
    i, j, _, c = tile_index(tl.where(matched != 0, 1, M), N, BM * STRIP, BN)
    scale_log2, shift = tl.load(SCALE_LOG2), tl.load(SHIFT)
    low = tl.where(matched != 0, tl.maximum(j * BN - offset, 0), i * BM * STRIP)
    high = tl.where(matched != 0, (j + 1) * BN - offset, (i + 1) * BM * STRIP)
    high = tl.minimum(M, high)
    # with tensor cores and 8 warps a thread holds rows that are 8 apart, which it adds up by itself
    z_columns = tl.zeros((BM // 16, 8, BN), tl.float32)
    for row in range(low, high, BM):
        # 1. one tile of similarities, as exponentials less the shift
        r = row + tl.arange(0, BM)
        s = cosines(X, Y, row, j * BN, M, N, D, BM, BN, BK, TMA, PRECISION)  # (BM, BN)
        e = tl.exp2(s * scale_log2 - tl.where(r < high, shift, float("inf"))[:, None])
        # 2. matches, and what is outside of the matrix, become 0; only few tiles have either
        first = j * BN - offset - row  # the row of this tile that matches its first column
        if ((first > -BN) & (first < BM)) | (j * BN + BN > N):
            matches = first + tl.arange(0, BN)  # for each column the row that matches it
            other = (matches < N - offset - row)[None, :]
            other = other & (matches[None, :] != tl.arange(0, BM)[:, None])
            e = tl.where(other, e, 0.0)
        # 3. the tile's sums in both directions
        tl.store(Z_ROWS + j.to(tl.int64) * M + r, tl.sum(e, 1), mask=r < high)
        z_columns += tl.sum(tl.reshape(e, (BM // 16, 2, 8, BN)), 1)
    z_columns = tl.sum(tl.sum(z_columns, 0), 0)
    at = Z_COLUMNS + i.to(tl.int64) * N + c
    z_columns += tl.load(at, mask=c < tl.where(matched != 0, N, 0), other=0.0)
    tl.store(at, z_columns, mask=c < N)


@triton.jit
def unmatched_exponentials(cosine, scale_log2, shift, r, first, M, BN: tl.constexpr):
    """A tile's exponentials. Rows r beyond M are 0, and so are the BN rows from `first` on, because
    they have their match in this tile."""
    wanted = (r < M) & ((r < first) | (r >= first + BN))
    return tl.exp2(cosine * scale_log2 - tl.where(wanted, shift, float("inf"))[:, None])


@triton.jit(do_not_specialize=[*BATCH, "strip"])
def tall_sums_kernel(X, Y, SCALE_LOG2, SHIFT, Z_ROWS, Z_COLUMNS, M, N, offset, strip,
                     D: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
                     PRECISION: tl.constexpr):  # fmt: skip
    """As `sums_kernel`, for Hopper, but a row counts as 0 in the BN columns that have its match.

    One warp group fetches operands, and two others multiply and take exponentials, as in
    `wide_gradient_kernel`. Each of the two has half of the rows, so neither can add up columns. A
    tile therefore has an upper and a lower part, and each thread adds the lower part's element to
    the upper one's.

    N is a multiple of BN. Z_ROWS (N/BN, M); Z_COLUMNS (M/strip, N/BN, BM/2, BN), to be added up
    over the first and the third dimension. strip: rows of a program, a multiple of BM.

    # reads M N D (1/BM + 1/BN) operands, writes M N (1/BN + BM/(2 strip)) sums: no logits
    """
    PART: tl.constexpr = BM // 2
    X = tl.make_tensor_descriptor(X, [M, D], [D, 1], [PART, BK])
    Y = tl.make_tensor_descriptor(Y, [N, D], [D, 1], [BN, BK])
    scale_log2, shift, across = tl.load(SCALE_LOG2), tl.load(SHIFT), N // BN
    programs = tl.cdiv(M, strip) * across
    for program in tl.range(tl.program_id(0), programs, tl.num_programs(0), warp_specialize=True):
        top, j = program // across * strip, program % across
        z_columns = tl.zeros((PART, BN), tl.float32)
        # The loop starts at 0, because the compiler refuses another start here. tl.cast is used
        # instead of the method `to`, because in the interpreter a loop's variable is a plain
        # number.
        for tile in range(0, tl.cdiv(tl.minimum(M - top, strip), BM)):
            # 1. two tiles of similarities, as exponentials less the shift
            row = top + tile * BM
            upper = tl.zeros((PART, BN), tl.float32)
            lower = upper
            for k in range(0, D, BK):
                y = tl.trans(Y.load([j * BN, k]))
                upper = tl.dot(X.load([row, k]), y, upper, input_precision=PRECISION)
                lower = tl.dot(X.load([row + PART, k]), y, lower, input_precision=PRECISION)
            r, first = row + tl.arange(0, PART), j * BN - offset
            upper = unmatched_exponentials(upper, scale_log2, shift, r, first, M, BN)
            lower = unmatched_exponentials(lower, scale_log2, shift, r + PART, first, M, BN)
            # The condition is always true. The compiler halves the rows of everything that depends
            # on the first product, so `lower` has to depend on `upper`.
            lower = tl.where(program >= 0, lower, upper)
            # 2. the sums of rows are complete, those of columns are not
            at = Z_ROWS + tl.cast(j, tl.int64) * M + r
            tl.store(at, tl.sum(upper, 1), mask=r < M)
            tl.store(at + PART, tl.sum(lower, 1), mask=r + PART < M)
            z_columns += upper + lower
        # stored in one piece, because Triton 3.4 spills registers if the rows are N apart
        at = tl.arange(0, PART)[:, None] * BN + tl.arange(0, BN)[None, :]
        tl.store(Z_COLUMNS + tl.cast(program, tl.int64) * PART * BN + at, z_columns)


@triton.jit(do_not_specialize=BATCH)
def online_kernel(X, Y, SCALE_LOG2, FLAGGED, HIGHEST, Z, M, N, offset, LOWEST: tl.constexpr,
                  D: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
                  TMA: tl.constexpr, PRECISION: tl.constexpr):  # fmt: skip
    """HIGHEST and Z of the flagged rows of X against all of Y: online softmax, a block at a time.

    X (M, D), Y (N, D), FLAGGED (M,) bytes. Rows without a flag get (LOWEST, 0).

    # reads M flags, and N D (1 + BM/BN) operands for every block of BM rows with a flag
    """
    # 1. is a row of this block flagged?
    r = tl.program_id(0) * BM + tl.arange(0, BM)
    flagged = tl.load(FLAGGED + r, mask=r < M, other=0) != 0
    highest = tl.full((BM,), LOWEST, tl.float32)
    z = tl.zeros((BM,), tl.float32)
    if tl.max(flagged.to(tl.int32), 0) > 0:
        scale_log2 = tl.load(SCALE_LOG2)
        for column in range(0, N, BN):
            # 2. a tile; matches, and what is outside of the matrix, become -inf
            c = column + tl.arange(0, BN)
            s = cosines(X, Y, tl.program_id(0) * BM, column, M, N, D, BM, BN, BK, TMA, PRECISION)
            other = (c < N)[None, :] & (c[None, :] != (r + offset)[:, None])
            s = tl.where(other, s * scale_log2, float("-inf"))
            # 3. the sum so far shrinks to the new maximum, then the tile joins it
            new = tl.maximum(highest, tl.max(s, 1))
            z = z * tl.exp2(highest - new) + tl.sum(tl.exp2(s - new[:, None]), 1)
            highest = new
    # 4. rows of the block that were not flagged
    tl.store(HIGHEST + r, tl.where(flagged, highest, LOWEST), mask=r < M)
    tl.store(Z + r, tl.where(flagged, z, 0.0), mask=r < M)
