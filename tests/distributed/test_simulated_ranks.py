"""Ranks in threads: the collectives are those of processes, and an exception stops all ranks."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from miniclip.distributed.simulated_ranks import on_ranks

worlds = st.lists(st.integers(0, 3), min_size=1, max_size=4)


@given(worlds)
def test_gather_gives_the_rows_of_all_ranks(counts):
    x = torch.arange(sum(counts))
    gathered = on_ranks(counts, lambda rank: rank.gather(x[rank.rows]))
    assert all(torch.equal(g, x) for g in gathered)


@given(worlds)
def test_scatter_is_the_transpose_of_gather(counts):
    x = torch.arange(float(sum(counts)))
    scattered = on_ranks(counts, lambda rank: rank.scatter((rank.rank + 1) * x))
    world = len(counts)
    assert torch.equal(torch.cat(scattered), x * world * (world + 1) / 2)


@given(worlds)
def test_totals_and_maxima_are_the_same_on_every_rank(counts):
    ranks = torch.arange(float(len(counts)))
    for total, largest in on_ranks(
        counts, lambda r: (r.total(ranks[r.rank]), r.largest(ranks[r.rank]))
    ):
        assert total == ranks.sum() and largest == ranks.max()


def test_an_exception_on_one_rank_stops_all_and_is_raised():
    def work(rank):
        if rank.rank == 1:
            raise KeyError("no such pair")
        return rank.total(torch.ones(1))

    with pytest.raises(KeyError, match="no such pair"):
        on_ranks([2, 2, 2], work)
