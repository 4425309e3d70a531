"""14  How many labels is the name worth?  Read lessons/14_probes.md, then make this file green.

The curve is a dict, in any order of k.
"""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

ANSWER = "miniclip.evaluation.linear_probe:shots_worth"


def shots_worth(curve, zero_shot):
    """How many shots per class are as good as zero-shot (figure 7), interpolated along log k.

    curve: {k: mean accuracy}. If the curve crosses zero-shot several times, the first crossing
    counts. If the smallest k is already enough, the result is this k. The result is None if no k is
    enough.
    """
    raise NotImplementedError  # about 7 lines


PAGE = "(lesson 14, section The place where a curve crosses)"


def test_a_number_that_was_tried_is_found_where_it_equals_zero_shot():
    curve = {1: 0.2, 2: 0.4, 4: 0.5, 8: 0.9}
    for k, accuracy in list(curve.items())[1:]:
        found = shots_worth(curve, accuracy)
        assert found is not None and math.isclose(found, k), (
            f"with {k} shots the accuracy is exactly that of zero-shot, but you return {found}"
        )


@pytest.mark.parametrize("zero_shot", [0.4, 0.5])
def test_where_the_first_number_is_enough_it_is_the_answer(zero_shot):
    found = shots_worth({2: 0.5, 4: 0.7}, zero_shot)
    assert found == 2, (
        f"2 shots are enough for {zero_shot}, and fewer were not tried: 2, not {found}"
    )


@given(st.floats(0.01, 0.99))
def test_between_two_numbers_log_k_grows_in_step_with_accuracy(part):
    zero_shot = 0.3 + part * 0.4
    found = shots_worth({2: 0.3, 8: 0.7}, zero_shot)
    assert found is not None, f"8 shots have 0.7, zero-shot has {zero_shot:.3f}: 8 are enough"
    want = 2 * 4**part
    assert abs(found - want) < 1e-6, (
        f"2 shots have 0.3, 8 have 0.7, zero-shot {zero_shot:.3f} is {part:.3f} of the way up: so is "
        f"log k of the way from log 2 to log 8, k = {want:.4f}, not {found:.4f} {PAGE}"
    )


def test_only_the_two_numbers_beside_the_crossing_count():
    found = shots_worth({1: 0.1, 2: 0.3, 4: 0.5, 8: 0.6}, 0.4)
    other = shots_worth({1: 0.2, 2: 0.3, 4: 0.5, 8: 0.9}, 0.4)
    assert found == other, (
        f"the crossing lies between 2 and 4 shots; other accuracies at 1 and 8 changed {found} to {other}"
    )


def test_more_than_were_tried_is_none():
    found = shots_worth({1: 0.2, 2: 0.4, 4: 0.5}, 0.6)
    assert found is None, f"no number of shots reaches 0.6; what is beyond 4 is not known: {found}"


def test_of_several_crossings_it_is_the_first():
    found = shots_worth({1: 0.2, 2: 0.4, 4: 0.35, 8: 0.1, 16: 0.2, 32: 0.5}, 0.3)
    assert found is not None and found == pytest.approx(2**0.5), (
        f"the curve reaches 0.3 between 1 and 2 shots, falls, and reaches it again: found {found}"
    )


def test_the_order_of_the_dict_does_not_matter():
    found, other = shots_worth({1: 0.2, 4: 0.6}, 0.4), shots_worth({4: 0.6, 1: 0.2}, 0.4)
    assert found == other, f"the same curve, written the other way round: {found} and {other}"


def test_a_flat_piece_is_no_division_by_zero():
    found = shots_worth({1: 0.3, 2: 0.3, 4: 0.5}, 0.4)
    assert found is not None and math.isclose(found, 8**0.5), (
        f"1 and 2 shots have 0.3, and 0.4 is halfway from 2 to 4: {8**0.5:.4f}, not {found}"
    )


# Shown when all laws are green: what the library does differently.


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_where_the_first_number_is_enough_it_is_the_answer": (
        "What does your function return when the smallest number of shots is better than zero-shot?",
        "Fewer were not tried, so the answer is the smallest number itself, and nothing is interpolated.",
        "first = min(curve); if curve[first] >= zero_shot: return float(first)",
    ),
    "test_a_number_that_was_tried_is_found_where_it_equals_zero_shot": (
        "Put in one of the numbers itself: what do you get back, k or something else, such as its logarithm?",
        "At a point of the curve the line goes through this point. If you interpolate the logarithm, the "
        "exponential has to undo it at the end.",
        "At the end of a pair (a, b) the share of the way is 1, and a * (b / a) ** 1 is b.",
    ),
    "test_between_two_numbers_log_k_grows_in_step_with_accuracy": (
        "Between 2 and 8 shots, what is halfway: 5 or 4?",
        "It is 4, because each doubling counts as one step (section 'The place where a curve crosses'). The "
        "share of the way is (zero_shot - accuracy at a) / (accuracy at b - accuracy at a), seen from a.",
        "a * (b / a) ** share, for the neighbouring numbers a and b.",
    ),
    "test_only_the_two_numbers_beside_the_crossing_count": (
        "Which points of the curve come into your result?",
        "Only the two beside the crossing do. A line that is fitted to all points is another thing.",
        "Go through zip(shots, shots[1:]) and stop at the first pair whose second accuracy reaches zero-shot.",
    ),
    "test_more_than_were_tried_is_none": (
        "What does your function return after its loop?",
        "If no number is enough, nobody knows how many would be. The answer is None, and not the largest.",
        "return None, after the last pair.",
    ),
    "test_of_several_crossings_it_is_the_first": (
        "A curve may fall again. Which of its crossings do you find?",
        "The first one, seen from few shots, because from there on that many labels were once enough.",
        "Return from inside the loop, at the first pair whose second accuracy is at least zero_shot.",
    ),
    "test_the_order_of_the_dict_does_not_matter": (
        "In which order do you go through the numbers?",
        "A dict has the order in which it was written. Neighbours are meant by size.",
        "shots = sorted(curve), before anything else.",
    ),
    "test_a_flat_piece_is_no_division_by_zero": (
        "Which pairs do you divide for, and are their accuracies different?",
        "Only the pair that crosses is divided: there the first accuracy is below zero-shot and the second is "
        "not, so they differ. A flat piece below zero-shot is passed over.",
        "Compute the share only after you have checked curve[b] >= zero_shot.",
    ),
}
DIFFERS = (
    "The library calls `reached`, which lesson 18 uses as well, with pairs in place of shots: it finds the "
    "first crossing along a logarithmic axis once for both. You have written what is inside."
)
