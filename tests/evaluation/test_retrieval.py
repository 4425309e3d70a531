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
    recalls,
    rows,
)
from tests.evaluation.fakes import Features, Plane, context_of, gallery
from tests.shared import must_refuse


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


@pytest.mark.parametrize("queries", [1, 300, 2500])
def test_queries_times_gallery_is_never_held(queries):
    pairs = Plane(range(2500), splits={"heldout": range(2500)})
    several = gallery(pairs, range(2500), "heldout")
    with Largest() as largest:
        several.evaluate(range(queries))
    assert largest.numbers <= 1 << 22, f"{largest.numbers:,} numbers of {queries * 2500:,}"


def test_the_best_of_several_right_answers_counts():
    gallery = torch.eye(4)
    query = torch.nn.functional.normalize(torch.tensor([[0.9, 0.5, 0.3, 0.1]]), dim=1)
    assert ranks(query, gallery, torch.tensor([7]), torch.tensor([0, 7, 1, 7])).item() == 2


# picture i and the caption "i" point at i degrees
NAMES = [str(i) for i in range(12)]
TOY = Features({name: int(name) for name in NAMES})


def test_a_search_gives_the_nearest_first():
    gallery = Gallery(TOY, Plane(range(12), (4,), NAMES), range(9))
    found = gallery.search("6", k=3)
    assert found[0] == (6, pytest.approx(1)) and {i for i, _ in found[1:]} == {5, 7}
    assert found[1][1] == pytest.approx(math.cos(math.radians(1)))
    assert len(gallery.search("5", k=50)) == 8


def test_held_out_pairs_are_asked_among_their_gallery_and_alone_where_that_is_smaller():
    splits = {"train": [0], "heldout": [6, 7, 8], "heldout_none": [], "heldout_bad": [4]}
    pairs = Plane(range(12), (4,), NAMES, splits)
    results, galleries = evaluate_heldout(TOY, pairs)
    assert results.keys() == galleries.keys() == {"heldout"}
    assert "among_held_out" not in results["heldout"]
    pairs.gallery = lambda split: [*range(9)]
    both, _ = evaluate_heldout(TOY, pairs)
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
    must_refuse(
        "not finite",
        ranks,
        torch.full((2, 4), torch.nan),
        torch.eye(4),
        torch.arange(2),
        torch.arange(4),
    )


def test_recalls_of_ranks_and_of_chance_by_hand():
    found = recalls([1, 1.5, 5, 5.5, 10, 10.5, 11, 300], 400)
    assert [found[f"R@{k}"] for k in (1, 5, 10)] == [1 / 8, 3 / 8, 5 / 8]
    assert found["intervals"] == {"R@1": wilson(1, 8), "R@5": wilson(3, 8), "R@10": wilson(5, 8)}
    assert (found["median_rank"], found["n"], found["gallery"]) == (7.75, 8, 400)
    scores = {"R@1": 0.05, "R@5": 0.25, "R@10": 0.5, "median_rank": 10.5, "gallery": 20}
    assert chance(20) == scores and chance(3)["R@10"] == 1


def test_the_report_has_a_row_for_each_split_and_way(report):
    """Of three pictures of 90 the first and the third are found by their captions; two of them are
    a second split."""
    splits = {"train": [], "heldout": [*range(90)], "heldout_names": [1, 2]}
    pairs = Plane([0, 40, 80, *[180] * 87], splits=splits)
    texts = [1, 62, 79, *[180] * 87]
    galleries = {split: gallery(pairs, texts, split) for split in ("heldout", "heldout_names")}
    scores = {split: own.evaluate(splits[split]) for split, own in galleries.items()}
    scores["heldout_names"]["tone_blind_oracle"] = chance(2)
    context = context_of(report, pairs=pairs)
    context.retrieval = scores, galleries
    found = retrieval.write(context)
    cells = {name: (one, ten, n, size) for name, one, _, _, ten, _, _, n, size in rows(scores)}
    assert cells == {
        "heldout: text to image": (2 / 90, 3 / 90, 90, 90),
        "heldout: image to text": (3 / 90, 3 / 90, 90, 90),
        "names: text to image": (0.5, 1, 2, 2),
        "names: image to text": (1, 1, 2, 2),
        "names: text to image, tone-blind oracle": (0.5, 1, 2, 2),
    }
    assert found == scores
    (shown, queries), _ = report.drawn["retrieval.png"]
    assert shown is galleries["heldout"] and len(queries) == 8
    context.retrieval = {}, {}
    must_refuse("no pairs were held out", retrieval.write, context)


def test_ranks_are_exact_under_autocast_and_with_a_default_dtype_of_16_bits():
    asked = unit(300, 8, 0), unit(300, 8, 1), torch.arange(300), torch.arange(300)
    try:
        torch.set_default_dtype(torch.bfloat16)
        with torch.autocast("cpu", torch.bfloat16):
            found = ranks(*asked)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(found, ranks(*asked))
