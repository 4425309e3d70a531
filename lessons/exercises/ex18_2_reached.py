"""18  How many times fewer pairs?  Read lessons/18_objectives.md, then make this file green.

To say that one objective needs a third of another's pairs, one reads a curve at an accuracy that was
not measured.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

ANSWER = "miniclip.evaluation.crossing:reached"
HINTS = {
    "test_what_is_above_the_curve_is_never_reached": (
        "What does your function return when no point is high enough?",
        "Beyond the last point nothing was measured, so nothing is said: None.",
        "return None at the end, after the loop",
    ),
    "test_a_curve_that_begins_above_says_its_first_point": (
        "Does the first point reach the target already?",
        "There is no point before the first one to draw a line from. The docstring says what to return.",
        "if accuracy[0] >= target: return float(pairs[0])",
    ),
    "test_a_curve_that_falls_again_counts_at_the_first_time": (
        "Which of the points that are high enough do you take?",
        "A curve may fall again. The first point that is high enough counts, and the point just before it. "
        "(np.interp wants a rising curve.)",
        "for k in range(1, len(pairs)): the first k with accuracy[k] >= target, and then return",
    ),
    "test_a_measured_accuracy_is_reached_where_it_was_measured": (
        "Which way does your line run between the two points?",
        "At the accuracy of the earlier point the line gives the earlier number of pairs, and at the later "
        "point's the later number.",
        "part = (target - accuracy[k - 1]) / (accuracy[k] - accuracy[k - 1]), 0 at the earlier point",
    ),
    "test_between_two_points_the_line_is_straight_over_the_logarithm": (
        "Halfway up from 100 to 10,000 pairs: what is the middle on a logarithmic axis?",
        "Take the line through the logarithms of pairs: each further part of the way multiplies by the same "
        "factor. Halfway from 100 to 10,000 is 1,000.",
        "pairs[k - 1] * (pairs[k] / pairs[k - 1]) ** part",
    ),
    "test_a_curve_moved_along_the_axis_is_reached_later_by_the_same_factor": (
        "Multiply all pairs by 10: what should happen to the answer?",
        "On a logarithmic axis only ratios matter. Something is added to the pairs, or subtracted, before the "
        "logarithm or after the exponential.",
        "Use the ratio pairs[k] / pairs[k - 1], and no 1 + pairs.",
    ),
}


def reached(pairs, accuracy, target):
    """After how many pairs a curve first reaches the accuracy `target`: float, or None where it never
    does. Between two points the curve is a straight line over the logarithm of pairs. A curve that
    begins above the target reaches it at its first point."""
    raise NotImplementedError  # about 8 lines


PAIRS = [100, 200, 400, 800]


def test_what_is_above_the_curve_is_never_reached():
    found = reached(PAIRS, [0.1, 0.2, 0.3, 0.4], 0.41)
    assert found is None, f"the curve ends at .4, so .41 is not reached: None, not {found}"


def test_a_curve_that_begins_above_says_its_first_point():
    found = reached(PAIRS, [0.3, 0.4, 0.5, 0.6], 0.2)
    assert found == 100, f"it begins above .2: it may be fewer than 100, but not {found}"


def test_a_curve_that_falls_again_counts_at_the_first_time():
    found = reached(PAIRS, [0.1, 0.5, 0.2, 0.9], 0.4)
    assert 100 < found < 200, f".4 is passed between 100 and 200 pairs first, not at {found}"


@pytest.mark.parametrize("k", range(4))
def test_a_measured_accuracy_is_reached_where_it_was_measured(k):
    accuracy = [0.1, 0.15, 0.3, 0.35]
    found = reached(PAIRS, accuracy, accuracy[k])
    assert found == pytest.approx(PAIRS[k]), f"{accuracy[k]} was measured after {PAIRS[k]} pairs"


@given(st.floats(0.0, 1.0))
def test_between_two_points_the_line_is_straight_over_the_logarithm(part):
    found = reached([100, 10_000], [0.25, 0.75], 0.25 + 0.5 * part)
    assert found == pytest.approx(100 ** (1 + part)), (
        f"{part:.3f} of the way up from 100 to 10,000 pairs is 100^(1 + {part:.3f})"
    )


@given(st.integers(0, 10**6), st.floats(1, 10))
def test_a_curve_moved_along_the_axis_is_reached_later_by_the_same_factor(seed, factor):
    rng = np.random.default_rng(seed)
    accuracy = np.sort(rng.random(4))
    target = rng.uniform(accuracy[0], accuracy[-1])
    near = reached(PAIRS, accuracy, target)
    far = reached([factor * n for n in PAIRS], accuracy, target)
    assert far == pytest.approx(factor * near), "only ratios of pairs matter on this axis"


DIFFERS = (
    "The library's loop is the same. It takes a power of the ratio of two numbers of pairs instead of logarithms and "
    "exponentials, so at a measured point the answer is exactly that point."
)
