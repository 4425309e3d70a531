"""08  A loss without cancellation. Read lessons/08b_kernel.md, then make this file green.

The lesson's E, the exponential of the match, is e in the docstring. Two things need care. others may be 0,
and others/e may be too large or too small for a float. And similarities reach 144 bits, where float32 has
steps of 1.5e-5: compute in float64.
"""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F  # noqa: F401  (for your answer)

ANSWER = "kernels.softmax:loss_from_sums"
LN2 = math.log(2)


def loss_from_sums(z, shift, matched):
    """Each row's loss, and what the backward pass needs, from the row's sum. No digits cancel.

    z, shift: (N,), so that the sum without the match is others = z 2^shift; matched: (N,) float64,
    the matched similarity in bits, so that e = 2^matched. Returns (loss, one_minus_p, lse), each
    (N,):

        loss           log(1 + others/e), in nats, float64
        one_minus_p    others/(others + e), which is 1 minus the match's probability, in z's dtype
        lse            log2(others + e), in bits, in z's dtype
    """
    raise NotImplementedError  # about 5 lines


scale_log2 = st.floats(-300, 300)


def one(z, shift, matched, dtype=torch.float32):
    z, shift = (torch.tensor([v], dtype=dtype) for v in (z, shift))
    return (
        t.item() for t in loss_from_sums(z, shift, torch.tensor([matched], dtype=torch.float64))
    )


def equal(name, found, want, within):
    assert abs(found - want) <= within, f"{name} is {found:.9g} and should be {want:.9g}"


@given(st.floats(1e-3, 1e3), scale_log2, st.floats(-20, 20))
def test_it_is_the_softmax_of_the_match(z, shift, lead):
    """With others = z 2^shift and e = 2^matched: log(1 + others / e), and the share of others."""
    loss, one_minus_p, lse = one(z, shift, shift + math.log2(z) - lead, torch.float64)
    ratio = 2.0**lead
    equal("loss, in nats,", loss, math.log1p(ratio), within=1e-9 * math.log1p(ratio))
    want = ratio / (1 + ratio)
    equal("one_minus_p", one_minus_p, want, within=1e-9 * want)
    want = shift + math.log2(z) + math.log2(1 + 1 / ratio)
    equal("lse, in bits,", lse, want, within=1e-9)


@given(st.floats(20, 100))
def test_a_perfect_match_still_has_a_loss(lead):
    """Others at 2^-lead of the match: 1 - P is that, though P rounds to 1."""
    loss, one_minus_p, _ = one(1.0, 0.0, lead, torch.float64)
    equal("loss, in nats,", loss, 2.0**-lead, within=1e-5 * 2.0**-lead)
    equal("one_minus_p", one_minus_p, 2.0**-lead, within=1e-5 * 2.0**-lead)


@given(scale_log2)
def test_one_pair_has_no_loss(matched):
    loss, one_minus_p, lse = one(0.0, 0.0, matched, torch.float64)
    found = (loss, one_minus_p, lse)
    assert found == (0, 0, matched), f"without others (z = 0) the three are {found}"


@given(st.floats(100, 1000))
def test_a_match_far_behind_costs_its_distance_to_the_others(behind):
    loss, one_minus_p, _ = one(1.0, 0.0, -behind)
    equal("loss, in nats,", loss, behind * LN2, within=1e-9)
    equal("one_minus_p", one_minus_p, 1, within=0)


@given(st.floats(0.5, 2.0), st.floats(100, 144), st.floats(0, 10))
def test_one_minus_p_is_the_sum_of_the_backward_pass(z, shift, lead):
    """The backward pass adds 2^(S - lse) with the rounded lse; one_minus_p must be that sum."""
    z32, shift32 = torch.tensor([z]), torch.tensor([shift])
    others = z32.double().log2() + shift32.double()
    _, one_minus_p, lse = loss_from_sums(z32, shift32, others + lead)
    dtypes = one_minus_p.dtype, lse.dtype
    assert dtypes == (z32.dtype,) * 2, f"one_minus_p and lse should be like z, but are {dtypes}"
    summed = torch.exp2(others - lse.double())
    # one_minus_p is rounded once, by up to 6e-8 of itself
    error = abs(one_minus_p.double() / summed - 1).item()
    assert error < 2e-7, (
        f"one_minus_p is off by {error:.1e} from the sum of 2^(S - lse), lse rounded"
    )


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_it_is_the_softmax_of_the_match": (
        "Which of the three is in nats, a natural logarithm, and which in bits?",
        "others is z 2^shift, so its logarithm to base 2 is log2(z) + shift. The loss is log(1 + others/e) in "
        "nats, and lse is log2(others + e) in bits (lesson 08b, 'From the sums to the loss').",
        "log2_others = z.double().log2() + shift.double(); the loss is "
        "softplus(LN2 * (log2_others - matched), threshold=50), and lse is torch.logaddexp2(log2_others, matched).",
    ),
    "test_a_perfect_match_still_has_a_loss": (
        "Is there a subtraction from 1, or the logarithm of a number near 1?",
        "1 - p is others / (others + e), so its logarithm is log2(others) - lse. The loss is a softplus, which "
        "torch cuts short above a threshold of 20.",
        "one_minus_p = torch.exp2(log2_others - lse.double()); softplus(..., threshold=50)",
    ),
    "test_one_pair_has_no_loss": (
        "Without others z is 0. What is its logarithm, and what does your code do with it?",
        "The logarithm of 0 is -inf, and 2^-inf is 0, as it should be. If the third number is infinite, you "
        "have computed 2^matched: at 300 bits no float32 and at 1,024 no float64 can hold it.",
        "torch.logaddexp2(log2_others, matched) is `matched` where log2_others is -inf.",
    ),
    "test_a_match_far_behind_costs_its_distance_to_the_others": (
        "Can others/e, or e itself, be held by a float here?",
        "Do not compute e or others: one of them may be 2^1000 times the other. Work with their logarithms.",
        "lead = LN2 * (log2_others - matched); the loss is softplus(lead, threshold=50).",
    ),
    "test_one_minus_p_is_the_sum_of_the_backward_pass": (
        "Which lse will the backward pass have, yours or one that was rounded when it was stored?",
        "Round lse to z's dtype first, then compute one_minus_p from the rounded lse (lesson 08b, 'From the "
        "sums to the loss').",
        "lse = torch.logaddexp2(log2_others, matched).to(z.dtype), then "
        "torch.exp2(log2_others - lse.double()).to(z.dtype)",
    ),
}
DIFFERS = (
    "Apple's GPUs have no float64, so the library's `double` takes such tensors to the CPU, and the results go "
    "back to z's device."
)
