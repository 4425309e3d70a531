"""Intervals equal scipy's and cover what they state; accuracies are counted by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from miniclip.evaluation.confidence import (
    binomial_tail,
    clopper_pearson,
    mcnemar,
    scores,
    share,
    wilson,
)
from tests.shared import must_refuse

counts = st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts, st.sampled_from([0.8, 0.95, 0.995]))
def test_both_intervals_equal_scipys(count, confidence):
    result = stats.binomtest(*count)
    for ours, method in ((wilson, "wilson"), (clopper_pearson, "exact")):
        theirs = result.proportion_ci(confidence, method)
        assert ours(*count, confidence) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


@given(counts, st.floats(0, 1))
def test_the_tail_is_the_one_sided_binomial_test(count, p):
    theirs = stats.binomtest(*count, p, alternative="greater").pvalue
    assert binomial_tail(*count, p) == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_a_tail_that_is_certain_is_exactly_1_and_an_impossible_one_0(p):
    assert [binomial_tail(k, 7, p) for k in (-1, 0, 8)] == [1, 1, 0]
    assert [binomial_tail(k, 7, 0.0) for k in (1, 7)] == [0, 0]
    assert [binomial_tail(k, 7, 1.0) for k in (1, 7)] == [1, 1]
    assert binomial_tail(1, 22, 0.9) <= 1, "no rounding above 1"


@given(counts)
def test_an_interval_contains_its_share_and_the_exact_one_is_mirrored(count):
    right, n = count
    s = share(right, n)
    assert 0 <= s["low"] <= s["value"] <= s["high"] <= 1 and s["n"] == n
    low, high = clopper_pearson(right, n)
    assert clopper_pearson(n - right, n) == pytest.approx((1 - high, 1 - low), abs=1e-9)
    for interval_of in (wilson, clopper_pearson):  # without rounding
        assert interval_of(n, n)[1] == 1 and interval_of(0, n)[0] == 0


@pytest.mark.parametrize("interval_of", [wilson, clopper_pearson, share])
def test_what_is_no_share_and_no_confidence_is_refused(interval_of):
    for count in ((1, 0), (3, 2), (-1, 4), (0.7, 10), (5, 9.5)):
        must_refuse("no share", interval_of, *count)
    assert interval_of(*torch.tensor([100, 120]).char()) == interval_of(100, 120), "in 8 bits"
    for percent in (95, 1, 0, -0.95):
        must_refuse(f"above 0 and below 1, not {percent}", interval_of, 5, 10, percent)


def test_similarities_that_are_nan_have_no_accuracy():
    must_refuse("NaN", scores, torch.full((3, 3), torch.nan), [0, 1, 2])


def test_equal_similarities_count_against_the_model_for_every_k():
    assert scores(torch.zeros(4, 10), [0] * 4).items() >= {("accuracy", 0.0), ("top5", 0.0)}


def test_balanced_accuracy_weighs_classes_alike():
    found = scores(torch.tensor([[1.0, 0.0, 0.0]] * 5), [0, 0, 0, 1, 2])  # the first class for all
    assert (found["accuracy"], found["n"]) == (0.6, 5)
    assert found["balanced_accuracy"] == pytest.approx(1 / 3)
    must_refuse("no labelled pictures", scores, torch.zeros(0, 2), [])


@given(st.integers(2, 12), st.integers(1, 30), st.integers(0, 99))
def test_top_k_holds_top_1_and_ties_gain_nothing(classes, n, seed):
    generator = torch.Generator().manual_seed(seed)
    similarity = torch.randn(n, classes, generator=generator)
    labels = torch.randint(classes, (n,), generator=generator)
    found = scores(similarity, labels)
    assert found["accuracy"] <= found["top5"]
    by_hand = [labels[i] in similarity[i].argsort(descending=True)[:5] for i in range(n)]
    assert found["top5"] == pytest.approx(sum(map(bool, by_hand)) / n)
    tied = scores(torch.zeros(n, 9), labels % 9, 5), scores(torch.zeros(n, 2), labels % 2, 2)
    assert (tied[0]["top5"], tied[1]["top2"]) == (0, 1)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=80))
def test_mcnemars_exact_test_is_a_binomial_test_of_the_pictures_that_differ(answers):
    first, second = ([own[side] for own in answers] for side in (0, 1))
    found = mcnemar(first, second)
    b, c = found["only_first"], found["only_second"]
    assert b - c == sum(first) - sum(second), "what both have right cancels"
    theirs = stats.binomtest(b, b + c).pvalue if b + c else 1.0
    assert found["p_value"] == pytest.approx(theirs, abs=1e-9)
    assert mcnemar(second, first)["p_value"] == found["p_value"]


def test_mcnemar_needs_answers_to_the_same_pictures():
    must_refuse("not the class that was predicted", mcnemar, [3, 1, 0], [0, 1, 2])
    must_refuse("same pictures", mcnemar, [1], [1, 0])


def test_small_numbers_of_numpy_do_not_wrap_around():
    assert wilson(np.uint8(200), np.uint8(250)) == wilson(200, 250)
