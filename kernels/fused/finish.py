"""Each row's loss from its sum, in one launch: softmax.loss_from_sums as a kernel.

In torch these are some twenty operations on vectors, and each costs a launch of microseconds. The
arithmetic is float64, as in softmax.py. Left out: the sums (forward.py).
"""

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["M"])  # as in tile.py
def finish_kernel(Z, FLAGGED, HIGHEST, RESCUED, SHIFT, COSINES, SCALE_LOG2, LOSS, ONE_MINUS_P, LSE, M,
                  ROWS: tl.constexpr):  # fmt: skip
    """LOSS (M,) float64, ONE_MINUS_P and LSE (M,) float32; see softmax.loss_from_sums.

    The sum of the others is RESCUED 2^HIGHEST for a flagged row, and Z 2^SHIFT for any other.

    # reads 4 M numbers and M flags, writes 3 M
    """
    r = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    inside = r < M
    flagged = tl.load(FLAGGED + r, mask=inside, other=0) != 0
    z = tl.where(flagged, tl.load(RESCUED + r, mask=inside), tl.load(Z + r, mask=inside))
    shift = tl.where(flagged, tl.load(HIGHEST + r, mask=inside), tl.load(SHIFT))
    # 1. both terms of the softmax's denominator, as logarithms in bits
    others = tl.log2(z.to(tl.float64)) + shift.to(tl.float64)
    cosine = tl.load(COSINES + r, mask=inside).to(tl.float64)
    matched = cosine * tl.load(SCALE_LOG2).to(tl.float64)
    # 2. the loss log(1 + others/e). It is log1p(x) = x log(1 + x) / ((1 + x) - 1), in which the
    # rounding of 1 + x cancels
    lead = (others - matched) * 0.6931471805599453  # log(others/e), in nats
    smaller = tl.exp(-tl.abs(lead))
    one_more = 1.0 + smaller
    rounded = tl.where(one_more == 1.0, 1.0, one_more - 1.0)
    log1p = tl.where(one_more == 1.0, smaller, tl.log(one_more) * (smaller / rounded))
    tl.store(LOSS + r, tl.where(lead > 0, lead, 0.0) + log1p, mask=inside)
    # 3. the logarithm of the denominator, rounded to float32, and 1 - p from the rounded logarithm
    larger = tl.where(lead > 0, others, matched)
    lse = (larger + tl.log2(one_more)).to(tl.float32)
    tl.store(LSE + r, lse, mask=inside)
    tl.store(ONE_MINUS_P + r, tl.exp2(others - lse.to(tl.float64)).to(tl.float32), mask=inside)
