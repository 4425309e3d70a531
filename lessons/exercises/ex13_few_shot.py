"""13  Draw the shots.  Read lessons/13_probes.md, then make this file green."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

ANSWER = "miniclip.evaluation.linear_probe:few_shot"


def few_shot(labels, pool, k, seed):
    """k positions of each class out of `pool`, drawn without replacement: sorted list of int.

    labels: (n,) int, the classes of all pictures; pool: the positions to draw from. The same seed
    gives the same shots, and the shots for k include those for fewer. Raises ValueError, which
    names the class, when a class of the pool has fewer than k pictures there.
    """
    raise NotImplementedError  # about 8 lines


classes = st.lists(st.integers(0, 3), min_size=8, max_size=60).map(np.array)


@given(classes, st.integers(1, 3), st.integers(0, 9), st.data())
def test_k_of_each_class_and_none_from_outside_the_pool(labels, k, seed, data):
    pool = data.draw(st.lists(st.integers(0, len(labels) - 1), min_size=1, unique=True))
    counts = np.bincount(labels[pool], minlength=4)
    if (counts[counts > 0] < k).any():
        with pytest.raises(ValueError):
            few_shot(labels, pool, k, seed)
        return
    shots = few_shot(labels, pool, k, seed)
    assert set(shots) <= set(pool), "a picture of the test set was learned from"
    assert len(set(shots)) == len(shots), "one picture was drawn twice"
    assert (np.bincount(labels[shots], minlength=4) == k * (counts > 0)).all()
    assert list(shots) == sorted(shots)


def test_a_seed_fixes_the_draw_and_other_seeds_draw_others():
    labels = np.arange(200) % 4
    draws = [tuple(few_shot(labels, range(200), 4, seed)) for seed in range(6)]
    assert draws == [tuple(few_shot(labels, range(200), 4, seed)) for seed in range(6)]
    assert len(set(draws)) == 6


def test_the_order_of_the_pool_changes_nothing():
    labels = np.arange(60) % 3
    assert few_shot(labels, range(60), 2, 1) == few_shot(labels, range(59, -1, -1), 2, 1)


def test_more_shots_include_fewer():
    labels = np.arange(120) % 4
    draws = [set(few_shot(labels, range(120), k, 3)) for k in (1, 2, 4, 8)]
    assert all(a < b for a, b in zip(draws, draws[1:]))


def test_every_picture_can_be_drawn():
    labels = np.zeros(12, int)
    drawn = {few_shot(labels, range(12), 1, seed)[0] for seed in range(300)}
    assert drawn == set(range(12))
