"""08  The fixed shift and its underflow check. Read lessons/08_forward.md, then make this file green."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

ANSWER = "kernels.softmax:fixed_shift"
HINT = (
    "How large may one element be, if a sum of `count` of them has to stay below 2^125, and rounding "
    "the scale down puts it up to one bit higher?"
)


def fixed_shift(scale_log2, count):
    """The shift that puts a cosine of 1 just below the top of float32's range, and the least safe sum.

    scale_log2: 0-d tensor, the similarity in bits of two equal directions; count: elements in a sum,
    of which 1 counts as 2.
    Returns (shift, floor): shift 0-d, a whole number; floor a float for `needs_rescue`.

    An element is below 2^(125 - room), one bit more than 124 because the shift is rounded down, so a
    sum of `count` elements is below 2^125. What a GPU flushes to zero is below 2^-126 each, below
    2^(room - 126) together: at most 2^-24 of any sum of at least floor.
    """
    raise NotImplementedError  # about 2 lines


counts, scales = st.integers(1, 2**22), st.floats(0.5, 150)


def shifted(scale, count):
    scale_log2 = torch.tensor(scale / math.log(2))
    shift, floor = fixed_shift(scale_log2, count)
    return scale_log2.double().item(), shift.double().item(), floor


@given(scales, counts)
def test_a_full_sum_of_perfect_matches_does_not_overflow(scale, count):
    """A cosine may exceed 1 by half a percent of rounding in bfloat16."""
    scale_log2, shift, _ = shifted(scale, count)
    top = math.log2(count) + 1.005 * scale_log2 - shift
    assert top < 127, f"{count} perfect matches add up to 2^{top:.1f}; leave room for their sum"


@given(scales, counts)
def test_the_top_of_the_range_is_used(scale, count):
    scale_log2, shift, _ = shifted(scale, count)
    top = math.log2(count) + scale_log2 - shift
    assert top > 121, f"{count} perfect matches add up to 2^{top:.1f} only: unused range is rescues"


@given(scales, counts)
def test_above_the_floor_flushed_elements_are_negligible(scale, count):
    """A GPU flushes elements below 2^-126 to zero: together at most 2^-24 of the sum."""
    _, _, floor = shifted(scale, count)
    lost = count * 2.0**-126
    assert lost <= 2.0**-24 * floor, f"a sum of {floor} passes, though {lost} of it may be flushed"


@given(scales, counts)
def test_the_floor_is_not_higher_than_it_must_be(scale, count):
    _, _, floor = shifted(scale, count)
    assert floor <= 2 * max(count, 2) * 2.0**-102, f"a floor of {floor} rescues accurate sums"


@given(scales, counts)
def test_the_shift_is_a_whole_number(scale, count):
    _, shift, _ = shifted(scale, count)
    assert shift == round(shift), f"{shift} is not a whole number"


@given(scales)
def test_one_pair_is_as_two(scale):
    assert shifted(scale, 1) == shifted(scale, 2), "a sum of 1 element wants the shift of 2"
