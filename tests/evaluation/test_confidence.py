"""Intervals against scipy's, and against what they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from miniclip.evaluation.confidence import binomial_tail, clopper_pearson, share, wilson

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


@pytest.mark.parametrize("p", [0.02, 0.3, 0.5, 0.97])
@pytest.mark.parametrize("n", [5, 40])
def test_the_exact_interval_covers_the_truth_as_often_as_it_says(p, n):
    weight = stats.binom.pmf(np.arange(n + 1), n, p)
    covered = [low <= p <= high for low, high in (clopper_pearson(k, n) for k in range(n + 1))]
    assert weight @ covered >= 0.95, f"covers with probability {weight @ covered:.4f}"


@given(counts)
def test_an_interval_holds_its_share_and_the_exact_one_is_mirrored(count):
    right, n = count
    s = share(right, n)
    assert 0 <= s["low"] <= s["value"] <= s["high"] <= 1 and s["n"] == n
    low, high = clopper_pearson(right, n)
    assert clopper_pearson(n - right, n) == pytest.approx((1 - high, 1 - low), abs=1e-9)


@pytest.mark.parametrize("right, n", [(1, 0), (3, 2), (-1, 4)])
def test_what_is_no_share_is_refused(right, n):
    with pytest.raises(ValueError, match="no share"):
        clopper_pearson(right, n)
