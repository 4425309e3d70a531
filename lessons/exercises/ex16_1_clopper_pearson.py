"""16  The exact interval.  Read lessons/16_overlap.md, then make this file green."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniclip.evaluation.confidence import binomial_tail

ANSWER = "miniclip.evaluation.confidence:clopper_pearson"
HINT = """Both tails only rise or only fall with the share p, so bisection between 0 and 1 finds where each has
half of the error. `right` or fewer is 1 minus the tail of what?"""


def clopper_pearson(right, n, confidence=0.95):
    """(low, high), the exact interval around right / n: it covers the true share with a probability
    of at least `confidence`.

    At the share `low`, `right` or more has probability (1 - confidence) / 2; at the share `high`,
    `right` or fewer has this probability. Raises ValueError unless 0 <= right <= n and n >= 1.
    """
    raise NotImplementedError  # about 12 lines


counts = st.integers(1, 80).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts, st.sampled_from([0.8, 0.95, 0.995]))
def test_at_each_end_the_sample_has_half_of_the_error(count, confidence):
    right, n = count
    low, high = clopper_pearson(right, n, confidence)
    half = (1 - confidence) / 2
    if right > 0:
        above = binomial_tail(right, n, low)
        assert above == pytest.approx(half, abs=1e-6), (
            f"if the true share is the lower end {low:.4f}, {right} or more of {n} must have "
            f"probability {half:.4f}; it is {above:.4f}"
        )
    if right < n:
        below = 1 - binomial_tail(right + 1, n, high)
        assert below == pytest.approx(half, abs=1e-6), (
            f"if the true share is the upper end {high:.4f}, {right} or fewer of {n} must have "
            f"probability {half:.4f}; it is {below:.4f}"
        )


@given(counts)
def test_it_contains_the_share_and_stays_within_0_and_1(count):
    low, high = clopper_pearson(*count)
    assert 0 <= low <= count[0] / count[1] <= high <= 1, (
        f"[{low:.4f}, {high:.4f}] must lie in 0 .. 1 and hold {count[0]} / {count[1]}"
    )


@given(st.integers(1, 60))
def test_nothing_right_allows_shares_of_0_and_above(n):
    low, high = clopper_pearson(0, n)
    assert low == 0 and high > 0, f"0 of {n}: [{low}, {high}] must begin at 0 and have a width"
    low, high = clopper_pearson(n, n)
    assert high == 1 and low < 1, f"{n} of {n}: [{low}, {high}] must end at 1 and have a width"


def test_more_confidence_is_wider_and_more_pictures_are_narrower():
    width = [np.ptp(clopper_pearson(10, 40, c)) for c in (0.8, 0.95, 0.995)]
    assert width[0] < width[1] < width[2], f"at .8, .95 and .995 the widths are {width}"
    few, many = np.ptp(clopper_pearson(10, 40)), np.ptp(clopper_pearson(100, 400))
    assert many < few, f"the same share has width {few:.3f} of 40 pictures and {many:.3f} of 400"


@pytest.mark.parametrize("p", [0.02, 0.3, 0.9])
def test_it_covers_the_truth_at_least_as_often_as_stated(p):
    n = 30
    at_least = [binomial_tail(k, n, p) for k in range(n + 2)]
    intervals = [clopper_pearson(k, n) for k in range(n + 1)]
    covers = [low <= p <= high for low, high in intervals]
    covered = sum(at_least[k] - at_least[k + 1] for k in range(n + 1) if covers[k])
    assert covered >= 0.95, f"the true share {p} is covered with probability {covered:.3f} < .95"


@pytest.mark.parametrize("right, n", [(1, 0), (3, 2), (-1, 4)])
def test_what_is_no_share_is_refused(right, n):
    with pytest.raises(ValueError):
        clopper_pearson(right, n)
        pytest.fail(f"{right} of {n} is no share, and no ValueError was raised")
