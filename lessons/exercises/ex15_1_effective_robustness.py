"""15  Effective robustness.  Read lessons/15_shift.md, then make this file green."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniclip.evaluation.robustness import logit

ANSWER = "miniclip.evaluation.robustness:effective_robustness"
HINT = """The line is in logits, so the accuracy at home becomes a logit, and what the line gives becomes an
accuracy again. Only then is it compared with the accuracy under the shift."""


def effective_robustness(accuracy, shifted, line):
    """Accuracy under the shift beyond what the baseline predicts from accuracy at home.

    accuracy, shifted: fractions of 1, numbers or arrays; line: (slope, intercept) in logits, from
    `baseline`. A model on the line has 0; the difference is in accuracy, not in logits.
    """
    raise NotImplementedError  # about 3 lines


shares = st.floats(0.02, 0.98)
lines = st.tuples(st.floats(0.4, 1.4), st.floats(-1.5, 0.5))


@given(shares, lines)
def test_on_the_line_there_is_none(accuracy, line):
    expected = 1 / (1 + np.exp(-(line[0] * logit(accuracy) + line[1])))
    found = effective_robustness(accuracy, expected, line)
    assert abs(found) < 1e-9, (
        f"{accuracy:.3f} at home and {expected:.3f} under the shift lie on the line "
        f"{line[0]:.2f} x {line[1]:+.2f} of logits: the height above it must be 0, not {found:.4f}"
    )


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


def test_on_the_diagonal_no_drop_is_no_effective_robustness():
    found = effective_robustness(0.7, 0.7, (1.0, 0.0))
    assert abs(found) < 1e-9, f"the line predicts .7 from .7, so .7 must give 0, not {found:.4f}"


def test_many_models_at_once_are_the_same_as_one_by_one():
    accuracy, shifted, line = np.array([0.2, 0.5, 0.9]), np.array([0.1, 0.4, 0.5]), (0.8, -0.6)
    one = [effective_robustness(a, s, line) for a, s in zip(accuracy, shifted)]
    found = effective_robustness(accuracy, shifted, line)
    assert found == pytest.approx(one), f"three models as arrays: {found}; one by one: {one}"


def test_everything_right_at_home_is_still_finite():
    found = effective_robustness(1.0, 0.9, (1.0, -1.0))
    assert np.isfinite(found), f"the logit of 1 is infinite unless it is clipped; found {found}"
