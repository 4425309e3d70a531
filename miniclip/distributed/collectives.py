"""Ranks: who am I, who else is there, and the four collectives that the loss needs.

Everything is an identity without torch.distributed, so nobody else mentions ranks. The collectives
carry no gradient of their own: the loss states its gradient in full (kernels/contrastive.py), which
is how it escapes the wrong factors that differentiating through an all-gather is known for. GroupCollectives
may differ in size: they travel padded to the largest. Left out: starting processes (torchrun does).
"""

import torch
import torch.distributed as torch_dist


def dist_info(group=None):
    """(rank, world) in the group, None being the default one; (0, 1) without torch.distributed."""
    if not (torch_dist.is_available() and torch_dist.is_initialized()):
        return 0, 1
    return torch_dist.get_rank(group), torch_dist.get_world_size(group)


def print0(*args, **kw):
    """print, on rank 0 only."""
    if dist_info()[0] == 0:
        print(*args, **kw)


def all_gather(x, counts=None, group=None):
    """Everybody's rows, in the order of ranks. x: (M, ...), counts: every rank's M (None: equal).

    Returns (sum of counts, ...); x itself on one rank. No gradient flows through it.
    """
    _, world = dist_info(group)
    if world == 1:
        return x
    counts = counts or [len(x)] * world
    padded = x.new_zeros(max(counts), *x.shape[1:])
    padded[: len(x)] = x
    parts = [torch.empty_like(padded) for _ in counts]
    torch_dist.all_gather(parts, padded, group=group)
    return torch.cat([part[:count] for part, count in zip(parts, counts)])


def all_reduce(x, op="sum", group=None):
    """The sum or the maximum ("max") over ranks, on every rank; x itself on one rank."""
    if dist_info(group)[1] == 1:
        return x
    x = x.clone()
    torch_dist.all_reduce(x, getattr(torch_dist.ReduceOp, op.upper()), group=group)
    return x


def reduce_scatter(x, counts=None, group=None):
    """The sum over ranks, of which each keeps its own rows. x: (sum of counts, ...) -> (M, ...)."""
    rank, world = dist_info(group)
    if world == 1:
        return x
    counts = counts or [len(x) // world] * world
    if torch_dist.get_backend(group) == "gloo":  # older ones have no reduce-scatter
        return all_reduce(x, group=group).split(counts)[rank].clone()
    padded = x.new_zeros(world, max(counts), *x.shape[1:])
    for slot, part in zip(padded, x.split(counts)):
        slot[: len(part)] = part
    mine = torch.empty_like(padded[0])
    torch_dist.reduce_scatter_tensor(mine, padded.flatten(0, 1), group=group)
    return mine[: counts[rank]]


class GroupCollectives:
    """The collectives of one rank among many, for kernels.contrastive. counts: every rank's pairs."""

    def __init__(self, counts, group=None):
        self.counts, self.group = counts, group
        rank, self.world = dist_info(group)
        self.offset = sum(counts[:rank])

    def gather(self, x):
        """(M, ...) -> (N, ...): everybody's rows."""
        return all_gather(x, self.counts, self.group)

    def total(self, x):
        """The sum over ranks."""
        return all_reduce(x, "sum", self.group)

    def largest(self, x):
        """The maximum over ranks."""
        return all_reduce(x, "max", self.group)

    def scatter(self, x):
        """(N, ...) -> (M, ...): the sum over ranks, own rows only."""
        return reduce_scatter(x, self.counts, self.group)
