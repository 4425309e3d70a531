"""The softmax of every row, as vectors: choice of the shift, underflow check, outputs.

A row's loss is log(1 + others/e), where e is the exponential of the matched similarity and others
is the sum of the other exponentials. Similarities here are in bits (S = exp(logit_scale) * log2(e)
* cosine), because hardware has exp2.

A sum of exponentials is stored as a pair (z, shift) with z = sum_j 2^(S_j - shift). The shift is
one constant for all rows (`fixed_shift`). If a row fails the underflow check (`needs_rescue`), its
shift is the maximum of the row without the match, found by online softmax (Milakov and Gimelshein
2018).

Because the sum leaves the match out, 1 - P_matched = others / (others + e) is accurate even if
P_matched rounds to 1. Left out: anything with N x N elements.
"""

import math

import torch

LN2 = math.log(2)
NO_FLOAT64 = {"mps"}  # Apple's GPUs
LOWEST = -1e38  # "no maximum yet": finite, so that LOWEST - LOWEST is 0 and not NaN


def double(x: torch.Tensor) -> torch.Tensor:
    """x in float64. The result is on the CPU if x's device has no float64."""
    return (x.cpu() if x.device.type in NO_FLOAT64 else x).double()


def fixed_shift(scale_log2, count):
    """The shift that puts a cosine of 1 just below the top of float32's range; the least safe sum.

    scale_log2: 0-d tensor, the similarity in bits of two equal directions; count: elements in a sum
    (1 counts as 2, so that a sum always has a bit of room). Returns (shift, floor): shift is 0-d, a
    whole number; floor is a float for `needs_rescue`.

    With this shift a sum of `count` elements is below 2^125, although rounding the shift down may
    make each element up to twice as large. Each element that a GPU flushes to zero is below 2^-126.
    All of them together are at most 2^-24 of any sum that is at least floor.
    """
    # a sum of `count` elements is at most 2^room times the largest, which is below 2^(125 - room)
    room = math.ceil(math.log2(max(count, 2)))
    # A whole shift makes S - shift exact if |S| >= 64. Else S - shift rounds by up to 2^-18, which
    # changes the element by up to 3e-6 of it.
    return scale_log2.floor() - (124 - room), 2.0 ** (room - 102)


def needs_rescue(z, floor):
    """Which sums are below floor, infinite or NaN. z: (N,) -> (N,) bool."""
    return z.clamp(floor, torch.finfo(z.dtype).max) != z  # NaN differs from itself


def absorb(highest, z, s):
    """Online softmax: add a further tile to the sums so far.

    highest, z: (R,), the largest element so far (LOWEST at the start) and the sum of 2^(S -
    highest). s: (R, C), the tile, in bits; an element of -inf adds nothing. Returns the new
    (highest, z).
    """
    new = torch.maximum(highest, s.amax(1))
    return new, z * torch.exp2(highest - new) + torch.exp2(s - new[:, None]).sum(1)


def merge(highest, z, largest, total):
    """The sum over ranks of partial sums (highest, z) whose shifts differ from rank to rank.

    highest, z: (N,); largest and total: the collectives, each (N,) -> (N,), all-reduce MAX and SUM.
    Returns the (highest, z) of all ranks together, which is the same on every rank.
    """
    everywhere = largest(highest)
    return everywhere, total(z * torch.exp2(highest - everywhere))


def loss_from_sums(z, shift, matched):
    """Each row's loss, and what the backward pass needs, from the row's sum. No digits cancel.

    z, shift: (N,), so that the sum without the match is others = z 2^shift; matched: (N,) float64,
    the matched similarity in bits, so that e = 2^matched. Returns (loss, one_minus_p, lse), each
    (N,):

        loss           log(1 + others/e), in nats, float64
        one_minus_p    others/(others + e), which is 1 minus the match's probability, in z's dtype
        lse            log2(others + e), in bits, in z's dtype
    """
    log2_others = double(z).log2() + double(shift)  # -inf when there are no others
    lead = LN2 * (log2_others - matched)  # log(others/e), in nats
    # float64: at scale 100 similarities reach 144 bits, where float32's spacing is 1.5e-5
    loss = torch.nn.functional.softplus(lead, threshold=50)
    lse = torch.logaddexp2(log2_others, matched).to(z.dtype)
    # The rounded lse is used, because the backward pass computes the other probabilities with it.
    # So a row of P, less 1 at the match, adds up to zero. (Tried lead.sigmoid(): equal features got
    # 20 times the error.)
    one_minus_p = torch.exp2(log2_others - lse.double()).to(z.dtype)
    return loss, one_minus_p.to(z.device), lse.to(z.device)
