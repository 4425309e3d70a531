"""Synthetic near-duplicates are found, clean pictures are not; the interval covers the truth."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from miniclip.data import open_pairs
from miniclip.evaluation.data_overlap import (
    THRESHOLD,
    all_minus_clean,
    base_emoji,
    near_duplicates,
    thumbnails,
)
from miniclip.evaluation.features import picture_source
from miniclip.evaluation.synthetic_duplicates import CHANGES, trial


@pytest.fixture(scope="module")
def pairs():
    return open_pairs()


def check(pairs, seed, duplicates, clean):
    result = trial(pairs, seed, duplicates, clean)
    print(result)
    assert result["recall"] >= 0.95 and result["false"] <= 0.005 * clean, result


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_of_100_synthetic_duplicates_95_are_found_with_5_false_positives_among_1000(pairs, seed):
    check(pairs, seed, 100, 1000)


@pytest.mark.slow
def test_synthetic_duplicates_are_found_and_clean_pictures_are_not(pairs):
    check(pairs, 3, 40, 60)


@pytest.mark.parametrize("change", CHANGES)
def test_the_duplicate_it_names_is_the_one_that_was_changed(pairs, change):
    rng = np.random.default_rng(0)
    names = ["sushi", "owl", "castle", "guitar", "bicycle", "carrot"]
    indices = [i for i in range(len(pairs)) if pairs.captions(i)[0] in names]
    known, _ = thumbnails(pairs, indices)
    changed = picture_source([change(pairs.image(i), rng) for i in indices])
    distance, position = near_duplicates(thumbnails(changed, range(len(indices)))[0], known)
    assert position.tolist() == list(range(len(indices)))
    assert (distance <= THRESHOLD).sum() >= len(indices) - 1, distance  # its recall is .98, not 1


def test_a_picture_is_its_own_duplicate_and_a_blank_one_has_none():
    known = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert near_duplicates(known, known)[0].max() < 1e-3
    assert near_duplicates(torch.ones(1, 3, 64, 64), known)[0] > THRESHOLD
    assert near_duplicates(known, known[:0])[0].min() == torch.inf


@pytest.mark.parametrize(
    "name, base",
    [
        ("woman firefighter: dark skin tone", "firefighter"),
        ("person rowing boat", "rowing boat"),
        ("man: red hair", "red hair"),
        ("woman: medium-light skin tone", "woman"),
        ("mango", "mango"),
        ("heart suit", "heart suit"),
    ],
)
def test_a_base_emoji_has_neither_tone_nor_gender(name, base):
    assert base_emoji(name) == base


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_all_minus_clean_is_the_difference_it_says(answers):
    right, overlapping = (np.array(v) for v in zip(*answers))
    row = all_minus_clean(right, overlapping)
    if 0 < overlapping.sum() < len(right):
        assert row["all_minus_clean"] == pytest.approx(right.mean() - right[~overlapping].mean())
        low, high = row["interval"]
        assert low <= row["all_minus_clean"] <= high
    else:
        assert row["interval"] is None and row["p_value"] is None


@pytest.mark.parametrize("dirty, clean", [(0.4, 0.4), (0.95, 0.3), (0.1, 0.6)])
def test_the_interval_covers_the_truth_in_95_percent_of_simulated_runs(dirty, clean):
    rng, n, overlap, covered = np.random.default_rng(0), 103, 21, 0
    truth, runs = overlap / n * (dirty - clean), 400
    overlapping = np.arange(n) < overlap
    for _ in range(runs):
        right = rng.random(n) < np.where(overlapping, dirty, clean)
        low, high = all_minus_clean(right, overlapping)["interval"]
        covered += low <= truth <= high
    assert covered / runs >= 0.95, f"covered {covered} of {runs}"
