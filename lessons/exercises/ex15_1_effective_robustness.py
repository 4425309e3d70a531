"""15  Effective robustness.  Read lessons/15_shift.md, then make this file green."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniclip.evaluation.robustness import logit

ANSWER = "miniclip.evaluation.robustness:effective_robustness"


def effective_robustness(accuracy, shifted, line):
    """Accuracy under the shift beyond what the baseline predicts from accuracy at home.

    accuracy, shifted: fractions of 1, numbers or arrays; line: (slope, intercept) in logits, from
    `baseline`. A model on the line has 0; the difference is in accuracy, not in logits. The
    line ends at accuracies of 0.005 and 0.995 (see logit), so 0 and 1 are that far from it.
    """
    raise NotImplementedError  # about 3 lines


shares = st.floats(0.02, 0.98)
lines = st.tuples(st.floats(0.4, 1.4), st.floats(-1.5, 0.5))


def test_many_models_at_once_are_the_same_as_one_by_one():
    accuracy, shifted, line = np.array([0.2, 0.5, 0.9]), np.array([0.1, 0.4, 0.5]), (0.8, -0.6)
    one = [effective_robustness(a, s, line) for a, s in zip(accuracy, shifted)]
    try:
        found = effective_robustness(accuracy, shifted, line)
    except TypeError as error:
        pytest.fail(f"three models as arrays: {error}")
    assert found == pytest.approx(one), f"three models as arrays: {found}; one by one: {one}"


def test_everything_right_at_home_is_still_finite():
    found = effective_robustness(1.0, 0.9, (1.0, -1.0))
    assert np.isfinite(found), f"the logit of 1 is infinite unless it is clipped; found {found}"


@given(shares, shares, st.floats(0, 0.5), lines)
def test_accuracy_beyond_the_line_counts_one_for_one(accuracy, shifted, more, line):
    a, b = (effective_robustness(accuracy, s, line) for s in (shifted, shifted + more))
    assert b - a == pytest.approx(more, abs=1e-9), (
        f"with {more:.3f} more under the shift it must grow by {more:.3f}; it grew by {b - a:.3f} "
        "(in logits instead of accuracy, or with the other sign?)"
    )


@given(shares, st.floats(0.02, 0.9), lines)
def test_a_model_that_is_better_at_home_has_a_higher_expected_accuracy(accuracy, shifted, line):
    better = min(0.98, accuracy + 0.01)
    least, most = (effective_robustness(a, shifted, line) for a in (better, accuracy))
    assert least <= most + 1e-12, (
        f"of two models with {shifted:.3f} under the shift the one with {better:.3f} at home was "
        f"expected to have more than the one with {accuracy:.3f}, so {least:.4f} must be at most "
        f"{most:.4f}"
    )


@given(shares, shares, st.floats(0.4, 1.4))
def test_on_the_line_there_is_none(accuracy, expected, slope):
    intercept = logit(expected) - slope * logit(accuracy)
    found = effective_robustness(accuracy, expected, (slope, intercept))
    assert abs(found) < 1e-9, (
        f"{accuracy:.3f} at home and {expected:.3f} under the shift lie on the line with slope "
        f"{slope:.2f} and intercept {intercept:+.2f} in logits: the height above it must be 0, not "
        f"{found:.4f}"
    )


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_many_models_at_once_are_the_same_as_one_by_one": (
        "What does your function do when `accuracy` and `shifted` are arrays?",
        "Some call works on a single number only: float(...) or a function of the module math. numpy's "
        "functions take arrays, and `logit` does too.",
        "np.exp instead of math.exp, and np.asarray(shifted, float) instead of float(shifted)",
    ),
    "test_everything_right_at_home_is_still_finite": (
        "What is the logarithm of 1 / 0?",
        "An accuracy of 1 has infinite odds. Lesson 15 mentions a function that moves 0 and 1 inwards "
        "before it takes the logarithm.",
        "Use logit(accuracy), which is imported above, and no logarithm of your own.",
    ),
    "test_accuracy_beyond_the_line_counts_one_for_one": (
        "Is what you return a difference of two accuracies? Or of two logits?",
        "The line predicts a logit. It has to become an accuracy before you subtract it, and it is the "
        "expected accuracy that is subtracted from the one that was found (lesson 15, 'Which cost "
        "is to be expected?').",
        "return np.asarray(shifted, float) - expected, where expected is an accuracy",
    ),
    "test_on_the_line_there_is_none": (
        "Take the numbers of the message: which accuracy under the shift does your line expect?",
        "The line is straight in logits on both axes: the logit of the accuracy at home goes in, and the "
        "logit of the expected accuracy comes out. What turns a logit z back into an accuracy?",
        "z = slope * logit(accuracy) + intercept, and the accuracy with that logit is 1 / (1 + np.exp(-z)).",
    ),
    "test_a_model_that_is_better_at_home_has_a_higher_expected_accuracy": (
        "More at home, and less expected: which sign is wrong?",
        "From a logit to an accuracy: large logits must give accuracies near 1, and yours give accuracies "
        "near 0.",
        "1 / (1 + np.exp(-z)), with the minus",
    ),
}
DIFFERS = (
    "The library's function is the same three lines. It takes arrays as well as numbers, because the figures "
    "of the reports draw the whole line with it: a model with an accuracy of 0 under the shift lies below the "
    "line by exactly what the line expects."
)
