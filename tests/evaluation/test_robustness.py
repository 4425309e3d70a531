"""Effective robustness is the accuracy above the line through other models."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniclip.evaluation.robustness import baseline, effective_robustness, logit

shares = st.floats(0.02, 0.98)


@given(
    st.floats(0.3, 1.5), st.floats(-2, 0.5), st.lists(shares, min_size=3, max_size=8, unique=True)
)
def test_models_on_the_line_have_no_effective_robustness(slope, intercept, accuracy):
    accuracy = np.array(accuracy)
    if np.ptp(logit(accuracy)) < 0.1:
        return
    shifted = 1 / (1 + np.exp(-(slope * logit(accuracy) + intercept)))
    if shifted.min() < 0.006 or shifted.max() > 0.994:  # beyond logit's floor
        return
    line = baseline(accuracy, shifted)
    assert line == pytest.approx((slope, intercept), abs=1e-6)
    assert np.abs(effective_robustness(accuracy, shifted, line)).max() < 1e-6


@given(shares, shares, st.floats(0, 0.3))
def test_it_grows_one_for_one_with_the_shifted_accuracy(accuracy, shifted, more):
    line = (0.8, -0.5)
    a, b = (effective_robustness(accuracy, s, line) for s in (shifted, shifted + more))
    assert b - a == pytest.approx(more, abs=1e-9)


def test_no_drop_is_robust_where_the_baseline_drops():
    line = baseline([0.3, 0.6, 0.9], [0.1, 0.3, 0.6])
    assert effective_robustness(0.6, 0.6, line) > 0.25


def test_accuracies_of_0_and_1_stay_finite():
    assert np.isfinite(baseline([0.0, 1.0], [0.0, 0.9])).all()


@pytest.mark.parametrize("accuracy", [[0.5], [0.5, 0.5]])
def test_a_baseline_needs_two_accuracies(accuracy):
    with pytest.raises(ValueError, match="two models"):
        baseline(accuracy, accuracy)
