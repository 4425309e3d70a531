"""What an overlap adds to a score: its interval covers the truth, and the report counts it right."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import stats

from miniclip.evaluation import data_overlap
from miniclip.evaluation.data_overlap import all_minus_clean
from tests.evaluation.fakes import Features, Plane, context_of, gallery, labelled
from tests.shared import must_refuse


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


def test_a_row_of_the_table_by_hand():
    """10 pictures, 4 of them overlap; right are 3 of the 4 and 2 of the 6."""
    right = [1, 1, 1, 0, 1, 1, 0, 0, 0, 0]
    row = all_minus_clean(right, [1] * 4 + [0] * 6)
    assert (row["n"], row["n_overlap"], row["share"], row["all"]) == (10, 4, 0.4, 0.5)
    # P(X >= 3) of 4 at 1/3: (4 * 2 + 1) / 81
    assert row["p_value"] == pytest.approx(9 / 81)

    def exact(k, n):
        ends = stats.binomtest(k, n).proportion_ci(0.975, "exact")
        return np.array([ends.low, ends.high])

    farthest = 0.4 * (exact(3, 4) - exact(2, 6)[::-1])
    assert row["interval"] == pytest.approx(farthest, abs=1e-9)


@pytest.mark.parametrize("right, overlapping", [([], []), ([1, 0], [1]), ([1], [])])
def test_answers_and_pictures_must_be_as_many_and_not_none(right, overlapping):
    must_refuse("do not go with", all_minus_clean, right, overlapping)
    must_refuse("confidence .*, not 95", all_minus_clean, [1, 0], [1, 0], 95)
    must_refuse("True or False for each", all_minus_clean, [1, 0], [0.04, 0.7])


class Patterns(Plane):
    """Each picture has a pattern of its own, except for `copies`, {index: index of the same one}."""

    copies = {}

    def image(self, i):
        super().image(i)  # raises for one that cannot be read
        cells = np.random.default_rng(self.copies.get(i, i)).integers(0, 256, (8, 8, 3), np.uint8)
        return Image.fromarray(cells).resize((64, 64))


@pytest.fixture
def overlapping(report):
    """Five held-out pictures, of which 0, 1 and 3 are copies, and three labelled ones, of which the
    first is a copy and the third cannot be read."""
    splits = {"train": [7, 6, 5], "heldout": [0, 1, 2, 3, 4], "heldout_too": [0, 1]}
    pairs = Patterns([0, 10, 20, 30, 40, 50, 60, 70], splits=splits)
    pairs.copies = {0: 5, 1: 7, 3: 6}
    home = labelled([0, 1, 2], [0, 1, 2])
    home.pictures = Patterns([0, 1, 2], bad=[2])
    home.pictures.copies = {0: 7, 1: 99}
    features = Features({"a": 0, "b": 50, "c": 90})  # of the labelled pictures the first is right
    context = context_of(report, features, labelled=home, pairs=pairs)
    # 20 is nearer to the captions at 27 and 29 than to its own, 30 is nearer to 29
    galleries = {s: gallery(pairs, [0, 11, 29, 27, 40], "heldout") for s in [*splits][1:]}
    context.retrieval = None, galleries
    return context


def test_overlap_counts_near_duplicates_of_each_test(report, overlapping, monkeypatch):
    monkeypatch.setattr(data_overlap, "SHOWN", 3)
    found = data_overlap.write(overlapping)
    assert found == {
        "zero-shot": all_minus_clean([1, 0], [1, 0]),
        "image to text R@1, heldout": all_minus_clean([1, 1, 0, 0, 1], [1, 1, 0, 1, 0]),
        "image to text R@1, too": all_minus_clean([1, 1], [1, 1]),
    }
    (pictures,), options = report.drawn["duplicates.png"]
    assert options["columns"] % 2 == 0, "both pictures of a pair are in one row"
    assert (
        len(pictures) == 2 * 3 and "3 of the 6 near-duplicates" in report.captions["duplicates.png"]
    )
    for (test, title, *_), (known, *_) in zip(pictures[::2], pictures[1::2]):
        assert test.tobytes() == known.tobytes() and title.endswith("0.000")


@pytest.mark.parametrize("most", [2, 3])
def test_what_is_compared_with_is_said(report, overlapping, monkeypatch, most):
    monkeypatch.setattr(data_overlap, "MOST", most)
    overlapping.trained_on_pairs = False
    found = data_overlap.write(overlapping)["image to text R@1, heldout"]
    assert found["n_overlap"] == most, "each training picture has one copy"
    assert ("drawn at random" in report.said()) == (most == 2)  # there are 3
    assert "training split of plane takes its place" in report.said()
    overlapping.pairs.splits["train"] = []
    must_refuse("none of these pairs is known", data_overlap.write, overlapping)


def test_tests_without_overlap_have_no_figure(report, overlapping):
    overlapping.labelled, overlapping.pairs.copies = None, {}
    found = data_overlap.write(overlapping)
    assert not report.drawn
    cells = data_overlap.cells(found["image to text R@1, heldout"])
    assert cells == (5, 0, 0.6, None, 0.6, None, None, None)
