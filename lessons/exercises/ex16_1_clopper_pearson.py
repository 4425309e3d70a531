"""16  The exact interval.  Read lessons/16_overlap.md, then make this file green."""

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniclip.evaluation.confidence import binomial_tail  # noqa: F401  (for your answer)

ANSWER = "miniclip.evaluation.confidence:clopper_pearson"


def clopper_pearson(right, n, confidence=0.95):
    """(low, high), the exact interval around right / n: it covers the true share with a probability
    of at least `confidence`.

    If the true share were `low`, a count of `right` or more would have probability
    (1 - confidence) / 2. If the true share were `high`, a count of `right` or less would have this
    probability. Raises ValueError unless 0 <= right <= n and n >= 1.
    """
    raise NotImplementedError  # about 12 lines


counts = st.integers(1, 80).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
confidences = st.sampled_from([0.8, 0.95, 0.995])


def probability(hits, n, p):
    """That the number of right answers is one of `hits`, if each of n is right with probability p."""
    return sum(comb(n, k) * p**k * (1 - p) ** (n - k) for k in hits)


@pytest.mark.parametrize("right, n", [(1, 0), (3, 2), (-1, 4)])
def test_what_is_no_share_is_refused(right, n):
    with pytest.raises(ValueError):
        clopper_pearson(right, n)
        pytest.fail(f"{right} of {n} is no share, and no ValueError was raised")


@given(counts)
def test_the_ends_stand_in_order_around_the_share(count):
    low, high = clopper_pearson(*count)
    assert 0 <= low <= count[0] / count[1] <= high <= 1, (
        f"[{low:.4f}, {high:.4f}] must lie in 0 .. 1 and hold {count[0]} / {count[1]}"
    )


@given(st.integers(1, 60))
def test_nothing_right_begins_at_0_and_everything_right_ends_at_1(n):
    low, high = clopper_pearson(0, n)
    assert low == 0 and high > 0, f"0 of {n}: [{low}, {high}] must begin at 0 and have a width"
    low, high = clopper_pearson(n, n)
    assert high == 1 and low < 1, f"{n} of {n}: [{low}, {high}] must end at 1 and have a width"


@given(counts, confidences)
def test_at_the_lower_end_right_or_more_have_half_of_the_error(count, confidence):
    right, n = count
    low, half = clopper_pearson(right, n, confidence)[0], (1 - confidence) / 2
    above = probability(range(right, n + 1), n, low)
    assert right == 0 or above == pytest.approx(half, abs=1e-6), (
        f"if the true share is the lower end {low:.4f}, {right} or more of {n} must have "
        f"probability {half:.4f}; it is {above:.4f}"
    )


@given(counts, confidences)
def test_at_the_upper_end_right_or_fewer_have_half_of_the_error(count, confidence):
    right, n = count
    high, half = clopper_pearson(right, n, confidence)[1], (1 - confidence) / 2
    below = probability(range(right + 1), n, high)
    assert right == n or below == pytest.approx(half, abs=1e-6), (
        f"if the true share is the upper end {high:.4f}, {right} or fewer of {n} must have "
        f"probability {half:.4f}; it is {below:.4f}"
    )


def test_more_confidence_is_wider_and_more_pictures_are_narrower():
    width = [np.ptp(clopper_pearson(10, 40, c)) for c in (0.8, 0.95, 0.995)]
    assert width[0] < width[1] < width[2], f"at .8, .95 and .995 the widths are {width}"
    few, many = np.ptp(clopper_pearson(10, 40)), np.ptp(clopper_pearson(100, 400))
    assert many < few, f"the same share has width {few:.3f} of 40 pictures and {many:.3f} of 400"


@pytest.mark.parametrize("p", [0.02, 0.3, 0.9])
def test_it_covers_the_truth_at_least_as_often_as_stated(p):
    n = 30
    intervals = [clopper_pearson(k, n) for k in range(n + 1)]
    covered = probability(
        [k for k in range(n + 1) if intervals[k][0] <= p <= intervals[k][1]], n, p
    )
    assert covered >= 0.95, f"the true share {p} is covered with probability {covered:.3f} < .95"


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_what_is_no_share_is_refused": (
        "Is there a sample of 2 pictures with 3 right ones?",
        "The docstring says what is refused, and with which error.",
        "Before anything else: if n < 1 or not 0 <= right <= n, raise ValueError.",
    ),
    "test_the_ends_stand_in_order_around_the_share": (
        "Print both ends. Which one is larger, and where is right / n?",
        "The lower end comes first and lies below right / n. `right` or more must be improbable there, so "
        "the lower end is the small accuracy.",
        "return low, high, with low from the tail of `right` or more and high from that of `right` or fewer",
    ),
    "test_nothing_right_begins_at_0_and_everything_right_ends_at_1": (
        "What is the probability of 0 or more right answers, whatever the accuracy?",
        "With nothing right there is no lower end to search for, and with everything right no upper end: "
        "lesson 16, 'The exact interval'.",
        "low = 0.0 if right == 0, high = 1.0 if right == n; only the other end is searched for.",
    ),
    "test_at_the_lower_end_right_or_more_have_half_of_the_error": (
        "How much probability is left out at each end, and does `confidence` say so?",
        "An interval of 95 % leaves out 5 %, half of it at each end (lesson 16, 'The exact interval'). "
        "`confidence` is an argument, and the law tries several.",
        "With half = (1 - confidence) / 2, bisect between 0 and 1 for binomial_tail(right, n, p) == half: "
        "the tail grows with p.",
    ),
    "test_at_the_upper_end_right_or_fewer_have_half_of_the_error": (
        "`right` or fewer is the opposite of what? Is `right` itself among them?",
        "`binomial_tail` gives so many or *more*. The opposite of `right` or fewer is more than `right`, "
        "which is `right + 1` or more.",
        "Bisect for 1 - binomial_tail(right + 1, n, p) == half: it falls as p grows.",
    ),
    "test_more_confidence_is_wider_and_more_pictures_are_narrower": (
        "Which of your arguments does the width not depend on?",
        "More confidence leaves out less at each end, so the ends move apart. More pictures make the tails "
        "steeper, so the ends move together.",
        "Both ends depend on (1 - confidence) / 2 and on n.",
    ),
    "test_it_covers_the_truth_at_least_as_often_as_stated": (
        "Is each end where the docstring wants it, or only near to it?",
        "An approximate formula, such as Wilson's or two standard errors, sometimes covers less than it "
        "states. The exact ends come from the binomial tail alone.",
        "Bisect on binomial_tail about fifty times, so that the ends have all the digits of a float.",
    ),
}
DIFFERS = (
    "The library writes one bisection, `solve`, and calls it for both ends, each time with a function that "
    "grows with p. It remembers its results, because reports ask for the same counts again and again."
)
