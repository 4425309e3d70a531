"""13  Two classifiers, the same pictures.  Read lessons/13_zeroshot.md, then make this file green.

The lesson tosses coins; here the p-value is exact. binomial_tail(right, n, p) is the probability of
`right` or more heads in n tosses, if p is the probability of a head. The library also refuses two
different lengths. That is not asked here.
"""

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniclip.evaluation.confidence import binomial_tail  # noqa: F401

ANSWER = "miniclip.evaluation.confidence:mcnemar"


def mcnemar(first, second):
    """McNemar's exact test of two classifiers on the same pictures: {'only_first', 'only_second',
    'p_value'}. 'only_first' counts the pictures that only the first classifier has right, and
    'only_second' those that only the second has right. The p-value is two-sided.

    first, second: (n,) bool, which answers are right. Pictures on which both are right, or both wrong,
    say nothing about the difference. On each of the other pictures exactly one classifier is
    right. If neither classifier is better, each is expected to be right on half of these pictures.
    Raises ValueError if the two lengths differ, or for other answers than True and False.
    """
    raise NotImplementedError  # about 4 lines, with binomial_tail(right, n, p)


def answers(only_first, only_second, both=0, neither=0):
    """Two lists of answers with so many pictures of each kind."""
    kinds = [(1, 0)] * only_first + [(0, 1)] * only_second + [(1, 1)] * both + [(0, 0)] * neither
    return tuple(np.array(kinds, bool).reshape(-1, 2).T)


def test_the_counts_are_of_pictures_that_only_one_has_right():
    found = mcnemar(*answers(5, 2, both=3, neither=4))
    assert (found["only_first"], found["only_second"]) == (5, 2), f"five pictures to two: {found}"


@given(*[st.integers(0, 20)] * 4)
def test_pictures_that_both_or_neither_have_right_change_nothing(b, c, both, neither):
    few, many = mcnemar(*answers(b, c)), mcnemar(*answers(b, c, both, neither))
    assert many == few, f"{both} both right and {neither} both wrong changed {few} to {many}"


def test_five_against_none():
    p = mcnemar(*answers(5, 0))["p_value"]
    assert p == pytest.approx(2 / 32), f"five equal tosses: 2 of 32 sequences, 0.0625, not {p}"


@given(st.integers(0, 20), st.integers(0, 20))
def test_the_other_way_round_is_the_same_question(b, c):
    one, other = mcnemar(*answers(b, c)), mcnemar(*answers(c, b))
    assert one["p_value"] == other["p_value"], "the test has two sides"
    assert one["only_first"] == other["only_second"], "the counts must change places"


@given(st.integers(0, 30))
def test_as_many_on_each_side_is_no_evidence_at_all(b):
    p = mcnemar(*answers(b, b))["p_value"]
    assert p == 1, f"{b} against {b}: every result is at least as uneven, so p is 1, not {p}"


@given(st.integers(0, 25), st.integers(0, 25))
def test_the_p_value_counts_tosses_at_least_as_uneven(b, c):
    m = b + c
    uneven = sum(comb(m, k) for k in range(m + 1) if abs(2 * k - m) >= abs(b - c))
    p = mcnemar(*answers(b, c))["p_value"]
    assert p == pytest.approx(uneven / 2**m), (
        f"{b} against {c}: of 2^{m} sequences of tosses {uneven} are at least as uneven"
    )


def test_which_pictures_they_are_matters_not_only_how_many_are_right():
    first, second = answers(8, 2, both=50, neither=40)  # 58 and 52 right
    p, unpaired = mcnemar(first, second)["p_value"], mcnemar(first, second[::-1])["p_value"]
    assert p < unpaired, f"the pairs differ on 10 pictures, reversed on more: {p} and {unpaired}"


# Shown when all laws are green: what the library does differently.


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_the_counts_are_of_pictures_that_only_one_has_right": (
        "On which pictures is the first right and the second wrong?",
        "The two counts are of pictures: right by the one and wrong by the other. Neither the pictures that "
        "both have right nor those that neither has are among them.",
        "only_first = (first & ~second).sum(), and only_second the other way round, as whole numbers.",
    ),
    "test_pictures_that_both_or_neither_have_right_change_nothing": (
        "How many tosses are there?",
        "Only a picture that exactly one has right is a toss. The others do not come into p, neither as "
        "tosses nor as part of an accuracy (section 'Two classifiers, the same pictures').",
        "There are b + c tosses, where b and c are the two counts.",
    ),
    "test_five_against_none": (
        "List the sequences of five tosses that are as uneven as five heads. How many are there?",
        "There are two, because five tails are as uneven as five heads. binomial_tail(right, n, p) is one "
        "end of it: the probability of `right` or more heads.",
        "Twice binomial_tail(the larger count, both counts together, 0.5).",
    ),
    "test_the_other_way_round_is_the_same_question": (
        "Is your p the same if the second classifier is the better one?",
        "The question has two sides. So it is about the larger of the two counts, whoever has it.",
        "Begin the tail at max(b, c).",
    ),
    "test_as_many_on_each_side_is_no_evidence_at_all": (
        "What is twice the tail if both counts are the same?",
        "The two ends then overlap in the middle, and what is in both is counted twice. A probability is "
        "never more than 1.",
        "min(1.0, twice the tail)",
    ),
    "test_the_p_value_counts_tosses_at_least_as_uneven": (
        "For these two counts, which sequences of tosses are at least as uneven?",
        "Those with the larger count or more on either side; both ends have the same probability. It is not an "
        "approximation by the normal distribution.",
        "min(1.0, 2 * binomial_tail(max(b, c), b + c, 0.5))",
    ),
    "test_which_pictures_they_are_matters_not_only_how_many_are_right": (
        "Does your p use more than the number of right answers of each?",
        "Two classifiers that differ on ten pictures and two that differ on many can have the same two "
        "accuracies. Compare picture by picture.",
        "b and c come from first & ~second and from second & ~first.",
    ),
}
DIFFERS = (
    "The library refuses two lists of different lengths, because such answers are not to the same pictures. "
    "Its binomial_tail adds up in logarithms: 171! is beyond a float64."
)
