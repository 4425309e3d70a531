"""The fused forward pass: exponential sums of every row and every column; logits are not stored.

Each program of `sums_kernel` computes a strip of tiles, one below the other, takes exponentials in
registers and adds them up twice, over rows and over columns. A thread holds elements of few rows, so a
row's sum takes two shuffles, and a column's sum would take fifty times as many instructions. The strip
therefore keeps its column sums in registers, and threads exchange them once, after its last tile.
Partial sums are added in a fixed order afterwards (no atomics), so a result repeats bit for bit.
`online_kernel` computes again the rows for which the fixed shift was not accurate (softmax.py). It is
always launched and returns at once where no row is flagged, so the host need not wait for the flags.
Left out: the losses (finish.py).
"""

import triton
import triton.language as tl

from kernels.fused.tile import BATCH, cosines, tile_index


@triton.jit(do_not_specialize=BATCH)
def sums_kernel(X, Y, SCALE_LOG2, SHIFT, Z_ROWS, Z_COLUMNS, M, N, offset,
                D: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
                TMA: tl.constexpr, PRECISION: tl.constexpr, STRIP: tl.constexpr = 1):  # fmt: skip
    """Partial sums of 2^(S - SHIFT) without the matches (column = row + offset).

    X (M, D), Y (N, D); Z_ROWS (N/BN, M), Z_COLUMNS (M/(BM STRIP), N), all rounded up.

    # reads M N D (1/BM + 1/BN) operands, writes M N (1/BN + 1/(BM STRIP)) sums: no logits
    """
    i, j, _, c = tile_index(M, N, BM * STRIP, BN)
    scale_log2, shift = tl.load(SCALE_LOG2), tl.load(SHIFT)
    # with tensor cores and 8 warps a thread holds rows that are 8 and 128 apart: it adds those by itself
    FAR: tl.constexpr = BM // 128 if BM > 128 else 1
    z_columns = tl.zeros((BM // 16 // FAR, 8, BN), tl.float32)
    for row in range(i * BM * STRIP, tl.minimum(M, (i + 1) * BM * STRIP), BM):
        # 1. one tile of similarities, as exponentials less the shift
        r = row + tl.arange(0, BM)
        s = cosines(X, Y, row, j * BN, M, N, D, BM, BN, BK, TMA, PRECISION)  # (BM, BN)
        e = tl.exp2(s * scale_log2 - tl.where(r < M, shift, float("inf"))[:, None])
        # 2. 0 for the match and outside; only few tiles have either
        first = j * BN - offset - row  # the row of this tile that matches its first column
        if ((first > -BN) & (first < BM)) | (j * BN + BN > N):
            matches = first + tl.arange(0, BN)  # for each column the row that matches it
            other = (matches < N - offset - row)[None, :]
            other = other & (matches[None, :] != tl.arange(0, BM)[:, None])
            e = tl.where(other, e, 0.0)
        # 3. the tile's sums in both directions
        tl.store(Z_ROWS + j.to(tl.int64) * M + r, tl.sum(e, 1), mask=r < M)
        near = tl.sum(tl.reshape(e, (FAR, BM // 16 // FAR, 2, 8, BN)), 2)
        z_columns += tl.sum(near, 0)
    z_columns = tl.sum(tl.sum(z_columns, 0), 0)
    tl.store(Z_COLUMNS + i.to(tl.int64) * N + c, z_columns, mask=c < N)


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
            # 2. a tile; matches and what is outside are -inf
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
