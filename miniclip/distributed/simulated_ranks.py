"""Ranks as threads of one process, for lessons, exercises and tests that look at all ranks at once.

The collectives are those that kernels/contrastive.py calls. Each is one line that calls
`Rank.exchange`. As in collectives.py, no gradient flows through them. Training uses processes and
collectives.py instead. Left out: speed.
Lesson: lessons/10_sharding.md.
"""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, BrokenBarrierError

import torch


class Rank:
    """The collectives of one rank. counts: the number of pairs of each rank. The attribute rows is
    the slice of this rank's pairs in the batch."""

    def __init__(self, rank, counts, barrier, slots):
        self.rank, self.counts, self.barrier, self.slots = rank, counts, barrier, slots
        self.world, self.offset = len(counts), sum(counts[:rank])
        self.rows = slice(self.offset, self.offset + counts[rank])

    def exchange(self, x):
        """[x of each rank], in the order of ranks."""
        self.slots[self.rank] = x
        self.barrier.wait()  # until all have written theirs
        of_all = list(self.slots)
        self.barrier.wait()  # until all have read them
        return of_all

    def gather(self, x):
        """(M, ...) -> (N, ...): the rows of all ranks."""
        return torch.cat(self.exchange(x))

    def total(self, x):
        """The sum over ranks, on every rank."""
        return sum(self.exchange(x))

    def largest(self, x):
        """The maximum over ranks, on every rank."""
        return torch.stack(self.exchange(x)).amax(0)

    def scatter(self, x):
        """(N, ...) -> (M, ...): x is summed over ranks, and each rank gets its rows of the sum."""
        return self.total(x).split(self.counts)[self.rank]


def on_ranks(counts: list[int], work) -> list:
    """Call work(rank) for each rank in a thread of its own, and return the list of results.

    counts: the number of pairs of each rank. work: a function of a Rank. If one rank raises an
    exception, the others stop waiting, and that exception is raised here.
    """
    barrier, slots = Barrier(len(counts)), [None] * len(counts)

    def one(rank):
        try:
            return work(Rank(rank, counts, barrier, slots))
        except BaseException:
            barrier.abort()
            raise

    with ThreadPoolExecutor(len(counts)) as pool:
        futures = [pool.submit(one, rank) for rank in range(len(counts))]
    # the exception that aborted the barrier is raised before those of the ranks that waited there
    for future in sorted(futures, key=lambda f: isinstance(f.exception(), BrokenBarrierError)):
        future.result()
    return [future.result() for future in futures]
