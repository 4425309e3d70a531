"""What an overlap adds to a score: its interval covers the truth, and the report counts it right."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from miniclip.evaluation import data_overlap
from miniclip.evaluation.data_overlap import all_minus_clean
from tests.evaluation.fakes import Plane, context_of, gallery, labelled


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_all_minus_clean_is_the_difference_it_says(answers):
    right, overlapping = (np.array(v) for v in zip(*answers))
    row = all_minus_clean(right, overlapping)
    if 0 < overlapping.sum() < len(right):
        assert row["all_minus_clean"] == pytest.approx(right.mean() - right[~overlapping].mean())
        low, high = row["interval"]
        assert low <= row["all_minus_clean"] <= high
        assert row["overlap"] == right[overlapping].mean()
    else:
        assert row["interval"] is None and row["p_value"] is None
    assert (row["clean"] is None) == overlapping.all()
    assert (row["overlap"] is None) == (not overlapping.any())
    assert ("overlap_interval" in row) == bool(overlapping.any())


def test_a_row_of_the_table_by_hand():
    """10 pictures, 4 of them overlap; right are 3 of the 4 and 2 of the 6."""
    right = [1, 1, 1, 0, 1, 1, 0, 0, 0, 0]
    row = all_minus_clean(right, [1] * 4 + [0] * 6)
    assert (row["n"], row["n_overlap"], row["share"], row["all"]) == (10, 4, 0.4, 0.5)
    assert (row["overlap"], row["clean"]) == (0.75, 1 / 3)
    assert row["all_minus_clean"] == pytest.approx(0.5 - 1 / 3)
    # P(X >= 3) of 4 at 1/3: (4 * 2 + 1) / 81
    assert row["p_value"] == pytest.approx(9 / 81)

    def exact(k, n, confidence):
        ends = stats.binomtest(k, n).proportion_ci(confidence, "exact")
        return np.array([ends.low, ends.high])

    assert row["all_interval"] == pytest.approx(exact(5, 10, 0.95), abs=1e-9)
    assert row["overlap_interval"] == pytest.approx(exact(3, 4, 0.95), abs=1e-9)
    farthest = 0.4 * (exact(3, 4, 0.975) - exact(2, 6, 0.975)[::-1])
    assert row["interval"] == pytest.approx(farthest, abs=1e-9)


@pytest.mark.parametrize("right, overlapping", [([], []), ([1, 0], [1]), ([1], [])])
def test_answers_and_pictures_must_be_as_many_and_not_none(right, overlapping):
    with pytest.raises(ValueError, match="do not go with"):
        all_minus_clean(right, overlapping)


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


class Near:
    """thumbnails and near_duplicates of planned distances: {source: {index: (distance, position)}}."""

    def __init__(self, monkeypatch, planned):
        self.planned, self.compared = planned, []
        monkeypatch.setattr(data_overlap, "thumbnails", self.thumbnails)
        monkeypatch.setattr(data_overlap, "near_duplicates", self.near_duplicates)

    def thumbnails(self, source, indices):
        kept = [i for i in indices if i not in source.bad]
        return (source, kept), kept

    def near_duplicates(self, pictures, training):
        source, indices = pictures
        self.compared.append((indices, training[1]))
        found = [self.planned[id(source)][i] for i in indices]
        return torch.tensor([d for d, _ in found]), torch.tensor([p for _, p in found])


@pytest.fixture
def overlapping(report, monkeypatch):
    """Five held-out pictures and three labelled ones, of which 3 and 1 are near-duplicates."""
    splits = {"train": [7, 6, 5], "heldout": [0, 1, 2, 3, 4]}
    pairs = Plane([0, 10, 20, 30, 40, 50, 60, 70], splits=splits)
    home, limit = labelled([0, 1, 2], [0, 1, 2], bad=[2]), data_overlap.THRESHOLD
    planned = {0: (0.09, 2), 1: (limit - 1e-6, 0), 2: (limit + 1e-6, 1), 3: (0.02, 1)}
    planned = {id(pairs): planned | {4: (torch.inf, 0)}}
    planned[id(home.pictures)] = {0: (0.05, 0), 1: (0.5, 0)}
    context = context_of(report, labelled=home, pairs=pairs)
    context.near = Near(monkeypatch, planned)
    # 20 is nearer to the captions at 27 and 29 than to its own, 30 is nearer to 29
    context.retrieval = None, {"heldout": gallery(pairs, [0, 11, 29, 27, 40], "heldout")}
    context.zero_shot_right = lambda split: {0: True, 1: False, 2: True} if split == "all" else {}
    return context


def test_overlap_counts_near_duplicates_of_each_test(report, overlapping):
    found = data_overlap.write(overlapping)
    ours, way = found["zero-shot"], found["image to text R@1, heldout"]
    assert ours == all_minus_clean([1, 0], [1, 0])  # the third picture cannot be read
    assert way == all_minus_clean([1, 1, 0, 0, 1], [1, 1, 0, 1, 0])
    (drawn,), _ = report.drawn["overlap.png"]
    assert drawn["zero-shot"] == [(0.5, ours["all_minus_clean"], *ours["interval"])]
    (pictures,), options = report.drawn["duplicates.png"]
    assert options["columns"] % 2 == 0, "both pictures of a pair are in one row"
    assert [title for _, title, _ in pictures[::2]] == [
        "caption 3\ncaption 6\n0.020",
        "test\ncaption 7\n0.050",
        "caption 0\ncaption 5\n0.090",
        "caption 1\ncaption 7\n0.100",
    ]
    assert [p.getpixel((0, 0))[0] for p, *_ in pictures[:2]] == [3, 6]
    assert overlapping.near.compared == [([0, 1], [7, 6, 5]), ([0, 1, 2, 3, 4], [7, 6, 5])]


def test_a_picture_of_several_tests_is_compared_once(overlapping):
    overlapping.retrieval[1]["heldout_too"] = overlapping.retrieval[1]["heldout"]
    overlapping.pairs.splits["heldout_too"] = [0, 1]
    found = data_overlap.write(overlapping)
    assert found["image to text R@1, too"] == all_minus_clean([1, 1], [1, 1])
    assert overlapping.near.compared[2] == ([], [7, 6, 5])


def test_tests_without_overlap_have_no_figure_and_the_emoji_a_trial(
    report, overlapping, monkeypatch
):
    monkeypatch.setattr(data_overlap, "THRESHOLD", 0.01)
    overlapping.labelled, overlapping.pairs.rows = None, [[]]
    counts = dict(duplicates=40, found=39, false=1, clean=100, recall=0.975, precision=0.975)
    monkeypatch.setattr(data_overlap, "trial", lambda pairs: counts)
    found = data_overlap.write(overlapping)
    assert not report.drawn and found["detector"] == counts
    assert list(found) == ["image to text R@1, heldout", "detector"]
    cells = data_overlap.cells(found["image to text R@1, heldout"])
    assert cells == (5, 0, 0.6, None, 0.6, None, None, None)


def test_shown_duplicates_are_spread_over_those_found(report, overlapping, monkeypatch):
    monkeypatch.setattr(data_overlap, "SHOWN", 3)
    data_overlap.write(overlapping)
    (pictures,), _ = report.drawn["duplicates.png"]
    assert [title[-5:] for _, title, _ in pictures[::2]] == ["0.020", "0.050", "0.090"]
    assert "3 of the 4 pairs" in report.captions["duplicates.png"]


@pytest.mark.parametrize("most", [2, 3])
def test_what_is_compared_with_is_said(report, overlapping, monkeypatch, most):
    monkeypatch.setattr(data_overlap, "MOST", most)
    overlapping.trained_on_pairs = False
    for own in overlapping.near.planned.values():
        own |= {i: (distance, 0) for i, (distance, _) in own.items()}
    data_overlap.write(overlapping)
    assert ("drawn at random" in report.said()) == (most == 2)  # there are 3
    assert "training split of plane takes its place" in report.said()
    assert {len(training) for _, training in overlapping.near.compared} == {most}
    overlapping.pairs.splits["train"] = []
    assert data_overlap.write(overlapping) == {}
