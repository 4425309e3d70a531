"""Probes equal scikit-learn's; shots come from the pool only."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from miniclip.evaluation import linear_probe
from miniclip.evaluation.linear_probe import (
    few_shot,
    fit,
    full_probe,
    search_strength,
    shots_curve,
    shots_worth,
    validation_split,
)
from tests.shared import must_refuse

labels = st.lists(st.integers(0, 3), min_size=8, max_size=60).map(np.array)


def blobs(n=120, width=8, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    return rng.normal(size=(classes, width))[y] + rng.normal(size=(n, width)), y


@pytest.mark.parametrize("strength", [1e-2, 1.0, 31.6])
def test_the_probe_is_scikit_learns_fit_on_the_same_features(strength):
    x, y = blobs()
    ours, theirs = fit(x, y, strength), LogisticRegression(C=1 / strength, max_iter=1000).fit(x, y)
    np.testing.assert_array_equal(ours.coef_, theirs.coef_)
    np.testing.assert_array_equal(ours.predict(x), theirs.predict(x))
    assert ours.max_iter == 1000, "the paper's limit"
    assert fit(x, y, strength, iterations=2).n_iter_.max() <= 2


@given(labels, st.integers(1, 3), st.integers(0, 9), st.data())
def test_shots_never_leave_the_pool_and_are_k_of_each_class(labels, k, seed, data):
    pool = data.draw(st.lists(st.integers(0, len(labels) - 1), min_size=1, unique=True))
    counts = np.bincount(labels[pool], minlength=4)
    if (counts[counts > 0] < k).any():
        must_refuse(f"{k} are asked for", few_shot, labels, pool, k, seed)
        return
    shots = few_shot(labels, pool, k, seed)
    assert set(shots) <= set(pool) and len(set(shots)) == len(shots)
    assert (np.bincount(labels[shots], minlength=4) == k * (counts > 0)).all()
    assert shots == few_shot(labels, pool[::-1], k, seed), "the same seed, other shots"


@pytest.mark.parametrize("peak", [-6.0, -5.0, -0.25, 3.125, 6.0])
def test_the_search_finds_a_peak_to_an_eighth_of_a_decade_in_few_fits(peak):
    asked = []
    best = search_strength(lambda s: asked.append(s) or -abs(np.log10(s) - peak))
    assert abs(np.log10(best) - peak) <= 1 / 16 + 1e-6
    assert len(asked) == len(set(asked)) <= 17
    eighths = 8 * np.log10(asked)
    np.testing.assert_allclose(eighths, eighths.round(), atol=1e-4)
    assert abs(eighths).max() <= 48.001, "between 1e-6 and 1e6"
    assert search_strength(lambda s: 0.5) == 1e6, "of equally good ones the largest"


def test_one_in_five_of_each_class_validates():
    sizes = [1, 2, 4, 5, 9, 10, 14, 15]
    y = np.repeat(range(8), sizes)
    learn, validation = validation_split(y)
    assert sorted(learn + validation) == [*range(len(y))]
    assert np.bincount(y[validation], minlength=8).tolist() == [0, 1, 1, 1, 1, 2, 2, 3]
    assert np.bincount(y[validation_split(y, one_in=2)[1]]).tolist() == [0, 1, 2, 2, 4, 5, 7, 7]
    assert (learn, validation) == validation_split(y, seed=0) != validation_split(y, seed=1)


@pytest.fixture
def fits(monkeypatch):
    """(strength, the pictures that each probe is fitted to), [the pictures that it is scored on];
    the search finds the strength 2."""
    calls = []

    class Probe:
        def score(self, x, y):
            calls.append(x[:, 0].tolist())
            return 1.0

    def fit(x, y, strength, iterations=1000):
        calls.append((strength, x[:, 0].tolist()))
        return Probe()

    monkeypatch.setattr(linear_probe, "fit", fit)
    monkeypatch.setattr(linear_probe, "search_strength", lambda score: score(1.0) + 1)
    return calls


def test_the_strength_is_chosen_on_pictures_that_are_not_learned_from(fits):
    x, y = np.arange(40.0)[:, None], np.arange(40) % 4
    assert full_probe(x, y)[1] == 2
    (_, learned), validated, last = fits
    assert sorted(learned + validated) == x[:, 0].tolist() and len(validated) == 8
    assert last == (2, x[:, 0].tolist())


def test_shots_of_the_first_seed_choose_the_strength_for_all(fits):
    x, y = np.arange(12.0)[:, None], np.arange(12) % 3
    draws = [[float(i) for i in few_shot(y, range(12), 2, seed)] for seed in range(3)]
    shots_curve(x, y, {}, [2], 3)
    (_, learned), validated, *last = fits
    assert learned == draws[0] and sorted(learned + validated) == x[:, 0].tolist()
    assert last == [(2, own) for own in draws]
    shots_curve(x, y, {}, [4], 1)
    assert fits[-2] == x[:, 0].tolist(), "nothing is left, so its shots choose"


def test_more_shots_help():
    x, y = blobs(400)
    curve = shots_curve(x, y, {"home": blobs(200)}, shots=(1, 16), seeds=3)
    means = {k: np.mean(tests["home"]) for k, tests in curve.items()}
    assert means[16] > means[1] + 0.1, means


RISING, FALLING = {1: 0.2, 2: 0.4, 4: 0.6}, {1: 0.5, 2: 0.4, 4: 0.6}


@pytest.mark.parametrize(
    "curve, zero_shot, shots",
    [
        (RISING, 0.1, 1),
        (RISING, 0.2, 1),
        (RISING, 0.25, 2**0.25),
        (RISING, 0.4, 2),
        (RISING, 0.5, 2 * 2**0.5),  # half way along log k
        (RISING, 0.6, 4),
        (RISING, 0.7, None),
        (FALLING, 0.5, 1),
        (FALLING, 0.55, 2**1.75),
    ],
)
def test_shots_worth_lies_between_the_shots_that_bracket_zero_shot(curve, zero_shot, shots):
    assert shots_worth(curve, zero_shot) == pytest.approx(shots)


def test_one_class_only_is_refused_and_one_picture_of_each_is_enough():
    must_refuse("two classes", fit, np.zeros((3, 2)), [1, 1, 1], 1.0)
    assert full_probe(np.eye(2), np.arange(2))[0].predict(np.eye(2)).tolist() == [0, 1]
