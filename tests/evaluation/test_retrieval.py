"""Ranks and recalls, against counting by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from miniclip.evaluation import retrieval
from miniclip.evaluation.confidence import wilson
from miniclip.evaluation.retrieval import (
    Gallery,
    chance,
    evaluate_heldout,
    ranks,
    recall_by_size,
    recalls,
    rows,
    table,
)
from tests.evaluation.fakes import Plane, directions


def unit(rows, width, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(rows, width, generator=generator), dim=1)


@given(n=st.integers(1, 12), extra=st.integers(0, 9), seed=st.integers(0, 99))
def test_a_rank_is_one_more_than_the_number_of_better_answers(n, extra, seed):
    queries, gallery = unit(n, 8, seed), unit(n + extra, 8, seed + 1)
    rank = ranks(queries, gallery, torch.arange(n), torch.arange(n + extra))
    for i in range(n):
        similarity = (gallery @ queries[i]).tolist()
        by_hand = 1 + sum(s > similarity[i] for s in similarity)
        assert abs(rank[i] - by_hand) <= 0.5, f"query {i}: {rank[i]} vs {by_hand} by hand"


@given(n=st.integers(1, 12), seed=st.integers(0, 99))
def test_the_order_of_the_gallery_changes_nothing(n, seed):
    queries, gallery = unit(n, 8, seed), unit(n, 8, seed + 1)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    own = torch.arange(n)
    assert torch.equal(
        ranks(queries, gallery, own, own), ranks(queries, gallery[order], own, order)
    )


@given(n=st.integers(1, 9), m=st.integers(1, 9), block=st.integers(1, 90), seed=st.integers(0, 99))
def test_the_size_of_the_blocks_changes_no_rank(n, m, block, seed):
    g = torch.Generator().manual_seed(seed)  # small whole numbers: many ties, and no rounding
    queries, gallery = (torch.randint(-2, 3, (rows, 3), generator=g).float() for rows in (n, m))
    owner = torch.randint(0, 3, (m,), generator=g)
    wanted = owner[torch.randint(0, m, (n,), generator=g)]
    with pytest.MonkeyPatch.context() as patch:
        whole = ranks(queries, gallery, wanted, owner)
        patch.setattr(retrieval, "BLOCK", block)
        assert torch.equal(ranks(queries, gallery, wanted, owner), whole)


class Largest(TorchDispatchMode):
    """Records how many numbers the largest tensor has that any operation makes."""

    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for x in made if isinstance(made, (tuple, list)) else (made,):
            if isinstance(x, torch.Tensor):
                self.numbers = max(self.numbers, x.numel())
        return made


def gallery_of(n, width=8):
    """A Gallery of n pictures with a caption each, without a model."""
    gallery = Gallery.__new__(Gallery)
    gallery.pictures, gallery.texts = unit(n, width, 0), unit(n, width, 1)
    gallery.kept, gallery.owner = list(range(n)), torch.arange(n)
    return gallery


@pytest.mark.parametrize("queries", [1, 300, 2500])
def test_queries_times_gallery_is_never_held(queries):
    gallery = gallery_of(2500)
    with Largest() as largest:
        gallery.evaluate(range(queries))
    assert largest.numbers <= 1 << 22, f"{largest.numbers:,} numbers of {queries * 2500:,}"


def test_the_best_of_several_right_answers_counts():
    gallery = torch.eye(4)
    query = torch.nn.functional.normalize(torch.tensor([[0.9, 0.5, 0.3, 0.1]]), dim=1)
    assert ranks(query, gallery, torch.tensor([7]), torch.tensor([0, 7, 1, 7])).item() == 2


@pytest.fixture
def toy(monkeypatch):
    """Picture i and the caption "i" point at i degrees."""

    def images(model, pairs, indices):
        kept = [i for i in indices if i not in pairs.bad]
        return directions(kept), kept

    monkeypatch.setattr(retrieval, "encode_images", images)
    monkeypatch.setattr(
        retrieval, "encode_texts", lambda model, tokenizer, texts: directions(map(int, texts))
    )
    return lambda **how: Plane(range(12), names=[str(i) for i in range(12)], **how)


def test_a_search_gives_the_nearest_first(toy):
    gallery = Gallery(None, None, toy(bad=(4,)), range(9))
    found = gallery.search("6", k=3)
    assert found[0] == (6, pytest.approx(1)) and {i for i, _ in found[1:]} == {5, 7}
    assert found[1][1] == pytest.approx(math.cos(math.radians(1)))
    assert len(gallery.search("5", k=50)) == 8
    assert len(Gallery(None, None, toy(), range(12)).search("5")) == 8


def test_held_out_pairs_are_asked_among_their_gallery_and_alone_where_that_is_smaller(toy):
    splits = {"train": [0], "heldout": [6, 7, 8], "heldout_none": [], "heldout_bad": [4]}
    pairs = toy(splits=splits, bad=(4,))
    results, galleries = evaluate_heldout(None, None, pairs)
    assert results.keys() == galleries.keys() == {"heldout"}
    assert "among_held_out" not in results["heldout"]
    pairs.gallery = lambda split: [*range(9)]
    both, _ = evaluate_heldout(None, None, pairs)
    scores = both["heldout"]
    for task, size in (("text_to_image", 8), ("image_to_text", 8), ("among_held_out", 3)):
        assert (scores[task]["R@1"], scores[task]["n"], scores[task]["gallery"]) == (1, 3, size)
    assert scores["chance"] == chance(8) and both.keys() == {"heldout"}


@pytest.mark.parametrize("n", [2, 5, 100])
def test_a_model_that_says_the_same_of_everything_is_at_chance(n):
    same = torch.ones(n, 4) / 2
    rank = ranks(same, same, torch.arange(n), torch.arange(n))
    assert recalls(rank, n)["median_rank"] == chance(n)["median_rank"]
    assert recalls(rank, n)["R@1"] == 0


def test_a_diverged_model_is_refused():
    bad = torch.full((2, 4), torch.nan)
    with pytest.raises(ValueError, match="not finite"):
        ranks(bad, torch.eye(4), torch.arange(2), torch.arange(4))


def test_recalls_of_ranks_at_the_edges_by_hand():
    found = recalls([1, 1.5, 5, 5.5, 10, 10.5, 11, 300], 400)
    assert [found[f"R@{k}"] for k in (1, 5, 10)] == [1 / 8, 3 / 8, 5 / 8]
    assert found["intervals"] == {"R@1": wilson(1, 8), "R@5": wilson(3, 8), "R@10": wilson(5, 8)}
    assert (found["median_rank"], found["n"], found["gallery"]) == (7.75, 8, 400)
    assert recalls([1, 4, 40], 40)["median_rank"] == 4


def test_chance_is_k_of_the_gallery_and_its_middle():
    scores = {"R@1": 0.05, "R@5": 0.25, "R@10": 0.5, "median_rank": 10.5, "gallery": 20}
    assert chance(20) == scores
    assert chance(3) == {"R@1": 1 / 3, "R@5": 1, "R@10": 1, "median_rank": 2, "gallery": 3}


def test_the_table_has_a_row_for_each_task_that_was_measured():
    ends = {"R@1": (0.2, 0.3), "R@5": (0.4, 0.6), "R@10": (0.9, 1.0)}
    found = {"R@1": 0.25, "R@5": 0.5, "R@10": 1.0, "n": 4, "gallery": 12, "median_rank": 3.5}
    oracle = {"R@1": 0.125, "R@5": 0.5, "R@10": 1.0, "gallery": 12}
    scores = {"text_to_image": found | {"intervals": ends}, "tone_blind_oracle": oracle}
    first, second = rows({"heldout_names": scores})
    assert first[1:] == (0.25, "[0.20, 0.30]", 0.5, 1.0, "[0.90, 1.00]", "3.5", 4, 12)
    assert second[1:] == (0.125, None, 0.5, 1.0, None, None, 4, 12)
    assert table({"heldout_names": scores}).count("names: text to image") == 2


@given(st.lists(st.integers(1, 12), min_size=1, max_size=8), st.integers(1, 12))
def test_recall_in_a_smaller_gallery_is_what_drawing_it_gives(rank, size):
    """Against every subset of the 11 others: R@1 counts those without a better one."""
    from itertools import combinations

    got = recall_by_size(rank, 12, [size])[size]
    wins = total = 0
    for r in rank:
        for others in combinations(range(11), size - 1):
            wins += all(other >= r - 1 for other in others)
            total += 1
    assert got == pytest.approx(wins / total, abs=1e-9)


def test_recall_by_size_ends_at_recall_itself_and_starts_at_1():
    found = recall_by_size([1, 1, 3, 40], 50, [1, 10, 50])
    assert found[1] == pytest.approx(1) and found[50] == pytest.approx(0.5)
    assert 0.5 < found[10] < 1
    tied = recall_by_size([1, 1.5, 2.5], 3, [3])  # half places do not make the others win
    assert tied[3] == pytest.approx(recalls([1, 1.5, 2.5], 3)["R@1"])
