"""A world of ranks in one process: threads for ranks, a barrier for the wire.

For lessons, exercises and tests, where one wants to look at all ranks at once; a real run has
processes and collectives.py. The collectives are those that kernels/contrastive.py asks for, without
gradients of their own, written as plainly as they can be. Left out: any gain in speed.
"""

import threading
from concurrent.futures import ThreadPoolExecutor

import torch


class Rank:
    """One rank's view of the world. counts: every rank's pairs; rows: the slice that is its own."""

    def __init__(self, rank, counts, barrier, slots):
        self.rank, self.counts, self.barrier, self.slots = rank, counts, barrier, slots
        self.world, self.offset = len(counts), sum(counts[:rank])
        self.rows = slice(self.offset, self.offset + counts[rank])

    def exchange(self, x):
        """Everybody's x, in the order of ranks: the one thing that crosses."""
        self.slots[self.rank] = x
        self.barrier.wait()  # all have put theirs
        everybody = list(self.slots)
        self.barrier.wait()  # all have taken them
        return everybody

    def gather(self, x):
        """(M, ...) -> (N, ...): everybody's rows."""
        return torch.cat(self.exchange(x))

    def total(self, x):
        """The sum over ranks, on every rank."""
        return sum(self.exchange(x))

    def largest(self, x):
        """The maximum over ranks, on every rank."""
        return torch.stack(self.exchange(x)).amax(0)

    def scatter(self, x):
        """(N, ...) -> (M, ...): the sum over ranks, of which each keeps its own rows."""
        return self.total(x).split(self.counts)[self.rank]


def on_ranks(counts, work):
    """[work(rank) for every rank], at the same time. counts: pairs of each; work: Rank -> anything.

    When a rank raises, the others are freed from waiting for it, and what it raised is raised here.
    """
    barrier, slots = threading.Barrier(len(counts)), [None] * len(counts)

    def one(rank):
        try:
            return work(Rank(rank, counts, barrier, slots))
        except BaseException:
            barrier.abort()
            raise

    with ThreadPoolExecutor(len(counts)) as pool:
        futures = [pool.submit(one, rank) for rank in range(len(counts))]
    errors = [future.exception() for future in futures]
    for error in sorted(
        filter(None, errors), key=lambda e: isinstance(e, threading.BrokenBarrierError)
    ):
        raise error  # the one that broke the barrier rather than those that found it broken
    return [future.result() for future in futures]
