"""13  Two classifiers, the same pictures.  Read lessons/13_zeroshot.md, then make this file green.

The lesson tosses coins; here the p-value is exact. The library also refuses two different
lengths. That is not asked here.
"""

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniclip.evaluation.confidence import binomial_tail  # noqa: F401

ANSWER = "miniclip.evaluation.confidence:mcnemar"
HINT = """If neither is better, each of the two counts is that of heads in as many fair tosses as the two
together. The tail from the larger count is one side: what is the other, and can the sum of both be
more than 1?"""


def mcnemar(first, second):
    """McNemar's exact test of two classifiers on the same pictures: {'only_first', 'only_second',
    'p_value'}, how many pictures only the one has right, and the two-sided p-value.

    first, second: (n,) bool, which answers are right. Pictures on which both are right, or both wrong,
    say nothing about the difference. Of the other pictures half are expected on each side if neither
    classifier is better.
    Raises ValueError for two different lengths.
    """
    raise NotImplementedError  # about 4 lines, with binomial_tail(right, n, p)


def answers(only_first, only_second, both=0, neither=0):
    """Two lists of answers with so many pictures of each kind."""
    kinds = [(1, 0)] * only_first + [(0, 1)] * only_second + [(1, 1)] * both + [(0, 0)] * neither
    return tuple(np.array(kinds, bool).reshape(-1, 2).T)


def test_five_against_none():
    found = mcnemar(*answers(5, 0, both=3))
    assert (found["only_first"], found["only_second"]) == (5, 0), f"five pictures to none: {found}"
    assert found["p_value"] == pytest.approx(2 / 32), "five equal tosses: 2 of 32 sequences"


@given(st.integers(0, 25), st.integers(0, 25))
def test_the_p_value_counts_tosses_at_least_as_uneven(b, c):
    m = b + c
    uneven = sum(comb(m, k) for k in range(m + 1) if abs(2 * k - m) >= abs(b - c))
    p = mcnemar(*answers(b, c))["p_value"]
    assert p == pytest.approx(uneven / 2**m), (
        f"{b} against {c}: of 2^{m} sequences of tosses {uneven} are at least as uneven"
    )


@given(*[st.integers(0, 20)] * 4)
def test_pictures_that_both_or_neither_have_right_change_nothing(b, c, both, neither):
    few, many = mcnemar(*answers(b, c)), mcnemar(*answers(b, c, both, neither))
    assert many == few, f"{both} both right and {neither} both wrong changed {few} to {many}"


@given(st.integers(0, 20), st.integers(0, 20))
def test_the_other_way_round_is_the_same_question(b, c):
    one, other = mcnemar(*answers(b, c)), mcnemar(*answers(c, b))
    assert one["p_value"] == other["p_value"], "the test has two sides"
    assert one["only_first"] == other["only_second"], "the counts must change places"


@given(st.integers(0, 30))
def test_as_many_on_each_side_is_no_evidence_at_all(b):
    p = mcnemar(*answers(b, b))["p_value"]
    assert p == 1, f"{b} against {b}: every result is at least as uneven, so p is 1, not {p}"


def test_which_pictures_they_are_matters_not_only_how_many_are_right():
    first, second = answers(8, 2, both=50, neither=40)  # 58 and 52 right
    p, unpaired = mcnemar(first, second)["p_value"], mcnemar(first, second[::-1])["p_value"]
    assert p < unpaired, f"the pairs differ on 10 pictures, reversed on more: {p} and {unpaired}"
