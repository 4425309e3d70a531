"""08  The fixed shift and its underflow check. Read lessons/08_forward.md, then make this file green."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

ANSWER = "kernels.softmax:fixed_shift"


def fixed_shift(scale_log2, count):
    """The shift that puts a cosine of 1 just below the top of float32's range; the least safe sum.

    scale_log2: 0-d tensor, the similarity in bits of two equal directions; count: elements in a sum
    (1 counts as 2, so that a sum always has a bit of room). Returns (shift, floor): shift is 0-d, a
    whole number; floor is a float for `needs_rescue`.

    With this shift a sum of `count` elements is below 2^125, although rounding the shift down may
    make each element up to twice as large. Each element that a GPU flushes to zero is below 2^-126.
    All of them together are at most 2^-24 of any sum that is at least floor.
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


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_a_full_sum_of_perfect_matches_does_not_overflow": (
        "Follow the lesson's table for `count` elements and not for 64. Which of its rows changes?",
        "The more elements a sum has, the lower each of them has to stay: the room for the sum is log2 of "
        "`count`, rounded up (lesson 08, 'Use the whole range').",
        "room = math.ceil(math.log2(max(count, 2))). A cosine of 1 may have the exponent 124 - room.",
    ),
    "test_the_top_of_the_range_is_used": (
        "What exponent does a cosine of 1 get from your shift? The lesson plans for 118, with 64 elements.",
        "The shift is not the scale: a cosine of 1 belongs near the top of float32's range, not at 2^0 "
        "(lesson 08, 'Use the whole range').",
        "shift = scale_log2.floor() - (124 - room)",
    ),
    "test_above_the_floor_flushed_elements_are_negligible": (
        "How much can `count` flushed elements add up to, at most?",
        "The floor grows with the number of elements: it is 2^24 times all that may have been flushed "
        "(lesson 08, 'Was anything lost?').",
        "The flushed elements are below 2.0 ** (room - 126), so the floor is 2.0 ** (room - 102).",
    ),
    "test_the_floor_is_not_higher_than_it_must_be": (
        "A higher floor is safe as well. What does it cost?",
        "A row below the floor is computed again. Only 24 bits lie between what was flushed and the floor.",
        "floor = 2.0 ** (room - 102)",
    ),
    "test_the_shift_is_a_whole_number": (
        "scale_log2 is 144.27 at a scale of 100. What about its .27?",
        "The scale is rounded down, and the lesson's table has reserved a bit for what is rounded off.",
        "Subtract from scale_log2.floor(), not from scale_log2.",
    ),
    "test_one_pair_is_as_two": (
        "For which number of elements is its logarithm 0?",
        "The docstring says that 1 is taken as 2.",
        "Take the logarithm of max(count, 2).",
    ),
}
DIFFERS = (
    "The library rounds log2(count) up to a whole number, so that 3 elements count as 4. If you do not, your shift "
    "may be less by one, which is as safe. And its shift stays a tensor, because the scale is on the GPU, and "
    "float(scale) would make the CPU wait for it."
)
