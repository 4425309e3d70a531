"""Ranks in threads: the collectives are those of processes, and an exception stops all ranks."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from miniclip.distributed.simulated_ranks import on_ranks


@given(st.lists(st.integers(0, 3), min_size=1, max_size=4))
def test_all_ranks_gather_sum_and_compare_and_scatter_is_the_transpose_of_gather(counts):
    x, world = torch.arange(float(sum(counts))), len(counts)

    def work(rank):
        own = torch.tensor(1.0 + rank.rank)
        return rank.gather(x[rank.rows]), rank.scatter(own * x), rank.total(own), rank.largest(own)

    gathered, scattered, totals, largest = zip(*on_ranks(counts, work))
    total = world * (world + 1) / 2
    assert all(torch.equal(g, x) for g in gathered)
    assert torch.equal(torch.cat(scattered), x * total)
    assert set(map(float, totals)) == {total} and set(map(float, largest)) == {world}


def test_an_exception_on_one_rank_stops_all_and_is_raised():
    def work(rank):
        if rank.rank == 1:
            raise KeyError("no such pair")
        return rank.total(torch.ones(1))

    with pytest.raises(KeyError, match="no such pair"):
        on_ranks([2, 2, 2], work)
