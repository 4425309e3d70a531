"""15  The line of expectation.  Read lessons/15_shift.md, then make this file green."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from miniclip.common import UserError
from miniclip.evaluation.robustness import logit

ANSWER = "miniclip.evaluation.robustness:baseline"


def baseline(accuracy, shifted) -> tuple[float, float]:
    """The line through the models that others are compared with, in logits: (slope, intercept).

    accuracy, shifted: (m,) fractions of 1 at home and under the shift. Raises UserError if there
    are fewer than two models, or if all have the same accuracy at home.
    """
    raise NotImplementedError  # about 4 lines


shares = st.floats(0.02, 0.98)


@pytest.mark.parametrize("home, shifted", [([0.6], [0.4]), ([0.6, 0.6, 0.6], [0.3, 0.4, 0.5])])
def test_what_fixes_no_line_is_refused(home, shifted):
    with pytest.raises(UserError):
        line = baseline(home, shifted)
        pytest.fail(f"models with {home} at home fix no line, and you return {line}")


@given(shares, shares, shares, shares)
def test_through_two_models_the_line_is_exact(home, other, shifted, other_shifted):
    assume(abs(logit(home) - logit(other)) > 0.01)
    slope, intercept = baseline([home, other], [shifted, other_shifted])
    for h, s in ((home, shifted), (other, other_shifted)):
        assert slope * logit(h) + intercept == pytest.approx(logit(s), abs=1e-6), (
            f"the model with {h:.3f} at home and {s:.3f} under the shift has the logits {logit(h):.3f} and "
            f"{logit(s):.3f}, and your line with slope {slope:.3f} and intercept {intercept:.3f} misses it"
        )


@given(st.integers(0, 10**6), st.integers(3, 8))
def test_what_is_left_over_has_no_trend(seed, m):
    rng = np.random.default_rng(seed)
    home, shifted = rng.uniform(0.05, 0.95, (2, m))
    slope, intercept = baseline(home, shifted)
    left = logit(shifted) - (slope * logit(home) + intercept)
    assert abs(left.sum()) < 1e-6, (
        f"the heights of the {m} models above the line must add up to 0, not to {left.sum():.4f}"
    )
    assert abs(left @ logit(home)) < 1e-6, (
        f"the heights {left.round(3)} still rise or fall with the logit at home: another slope fits better"
    )


def test_a_model_that_names_nothing_rightly_gives_a_finite_line():
    line = baseline([0.0, 0.5, 1.0], [0.0, 0.3, 0.6])
    assert np.isfinite(line).all(), (
        f"the logits of 0 and 1 are infinite unless they are clipped: {line}"
    )


def test_two_plain_numbers_are_returned():
    line = baseline([0.2, 0.5, 0.7], [0.1, 0.3, 0.6])
    assert [type(x) for x in line] == [float, float] and isinstance(line, tuple), (
        f"a tuple of two floats is wanted, not {line!r}"
    )


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_what_fixes_no_line_is_refused": (
        "How many lines pass through a single point? And through two points above each other?",
        "With one model, or with models that are all equal at home, no slope is fixed. The docstring says which error "
        "is raised.",
        "if len(x) < 2 or np.ptp(x) < 1e-9: raise UserError(...), for the logits x at home",
    ),
    "test_through_two_models_the_line_is_exact": (
        "Which unit is the line straight in?",
        "Both accuracies become logits before the line is fitted, and the slope is returned before the intercept.",
        "x, y = logit(accuracy), logit(shifted), then a line y = slope * x + intercept",
    ),
    "test_what_is_left_over_has_no_trend": (
        "Look at all models: does your line leave out some of them?",
        "It is the line of least squares: it minimizes the squared distances upwards, in logits under the shift.",
        "np.polyfit(x, y, 1) gives the slope and the intercept of this line",
    ),
    "test_a_model_that_names_nothing_rightly_gives_a_finite_line": (
        "What is the logarithm of 0?",
        "`logit` of the library moves 0 and 1 towards the middle before it takes the logarithm.",
        "Use logit(...), which is imported above, and no logarithm of your own.",
    ),
    "test_two_plain_numbers_are_returned": (
        "What is the type of what you return, and of what is in it?",
        "A tuple of two Python floats, not an array: reports write it to a file as JSON.",
        "return float(slope), float(intercept)",
    ),
}
DIFFERS = (
    "The library lets numpy's polyfit do the least squares, and refuses before it: from models that are equal at home "
    "polyfit would return some line, with a warning at most."
)
