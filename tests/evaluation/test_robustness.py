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


def test_logits_by_hand():
    e = np.e
    assert logit([0.5, e / (1 + e), 1 / (1 + e**2)]) == pytest.approx([0, 1, -2])
    assert logit([0, 0.005, 0.004]) == pytest.approx([np.log(0.005 / 0.995)] * 3)
    assert logit([1, 0.995, 0.996]) == pytest.approx([np.log(0.995 / 0.005)] * 3)
    assert logit(0, floor=0.1) == pytest.approx(np.log(1 / 9))
