"""Effective robustness is the accuracy above the line through other models."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from miniclip.evaluation.robustness import baseline, effective_robustness, handwritten, logit

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


def test_two_models_of_nearly_equal_accuracy_have_a_line():
    slope, intercept = baseline([0.5, 0.51], [0.4, 0.42])
    assert slope == pytest.approx((logit(0.42) - logit(0.4)) / logit(0.51))
    assert intercept == pytest.approx(logit(0.4))


@pytest.mark.parametrize("accuracy", [[0.5], [0.5, 0.5]])
def test_a_baseline_needs_two_accuracies(accuracy):
    with pytest.raises(ValueError, match="two models"):
        baseline(accuracy, accuracy)


def test_logits_by_hand():
    e = np.e
    assert logit([0.5, e / (1 + e), 1 / (1 + e**2)]) == pytest.approx([0, 1, -2])
    assert logit([0, 0.005, 0.004]) == pytest.approx([np.log(0.005 / 0.995)] * 3)
    assert logit([1, 0.995, 0.996]) == pytest.approx([np.log(0.995 / 0.005)] * 3)
    assert logit(0, floor=0.1) == pytest.approx(np.log(1 / 9))


def test_digits_are_scikit_learns_dark_on_white_with_disjoint_splits():
    theirs, found = load_digits(), handwritten()
    train, test = found.splits["train"], found.splits["test"]
    assert len({*train} | {*test}) == 1200 and len(train) == len(test) == 600
    assert found.splits["all"] == train + test and train[:3] == [360, 1773, 1482]
    names = "zero one two three four five six seven eight nine".split()
    for i in train[:20] + test[:20]:
        assert found.class_names[found.labels[i]] == names[theirs.target[i]]
        picture = found.pictures.image(i)
        assert picture.size == (64, 64) and picture.mode == "RGB"
        darkness = 1 - np.asarray(picture).mean() / 255
        assert darkness == pytest.approx(theirs.images[i].mean() / 16, abs=0.01)
