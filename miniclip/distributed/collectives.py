"""The rank of a process, the number of ranks, and the collectives that the loss needs.

A collective is an operation in which all ranks take part, for example a sum over ranks. The loss
needs collectives because the paper shards the similarities over GPUs: each GPU computes only the
similarities that its own pairs need (CLIP, section 2.5). On several ranks the loss uses
GroupCollectives. On one rank it uses kernels.contrastive.LocalCollectives, which return their
arguments. No gradient flows through a collective, because the loss computes its whole gradient
itself (kernels/contrastive.py). So autograd cannot multiply a gradient by the number of ranks
without our knowledge. Ranks may hold different numbers of pairs: their rows are padded to the
largest number before they are sent. Left out: starting processes (torchrun).
Lesson: lessons/10_sharding.md.
"""

from functools import cache

import torch

from miniclip.common import refuse


def dist_info(group: "torch.distributed.ProcessGroup | None" = None) -> tuple[int, int]:
    """(rank, world) in the group, or in the default group for None; (0, 1) without any group."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        refuse(
            {"there are no groups before init_process_group; leave out group": group is not None}
        )
        return 0, 1
    return torch.distributed.get_rank(group), torch.distributed.get_world_size(group)


@cache
def host_group(group: "torch.distributed.ProcessGroup") -> "torch.distributed.ProcessGroup":
    """A group of the same ranks that can exchange CPU tensors. The first call makes it, so all
    ranks must make that call together.

    Later calls take it from the cache, whose key is `group`. After another init_process_group the
    default group, torch.distributed.group.WORLD, is another object, and so gets a new group.
    """
    if torch.distributed.get_backend(group) == "gloo":
        return group
    ranks = torch.distributed.get_process_group_ranks(group)
    return torch.distributed.new_group(ranks, backend="gloo", use_local_synchronization=True)


def print0(*args, **kw) -> None:
    """print, on rank 0 only."""
    if dist_info()[0] == 0:
        print(*args, **kw)


def all_reduce(
    x: torch.Tensor, op: str = "sum", group: "torch.distributed.ProcessGroup | None" = None
) -> torch.Tensor:
    """The sum or the maximum (op "max") of x over ranks, on every rank."""
    x = x.clone()
    torch.distributed.all_reduce(x, getattr(torch.distributed.ReduceOp, op.upper()), group=group)
    return x


class GroupCollectives:
    """The collectives that kernels.contrastive calls. counts: the number of pairs of each rank."""

    def __init__(self, counts: list[int], group: "torch.distributed.ProcessGroup | None" = None):
        self.counts, self.group = counts, group
        self.rank, self.world = dist_info(group)
        self.offset = sum(counts[: self.rank])

    def gather(self, x: torch.Tensor) -> torch.Tensor:
        """(M, ...) -> (N, ...): the rows of all ranks, in the order of ranks."""
        padded = x.new_zeros(max(self.counts), *x.shape[1:])
        padded[: len(x)] = x
        parts = [torch.empty_like(padded) for _ in self.counts]
        torch.distributed.all_gather(parts, padded, group=self.group)
        return torch.cat([part[:count] for part, count in zip(parts, self.counts)])

    def total(self, x: torch.Tensor) -> torch.Tensor:
        """The sum over ranks, on every rank."""
        return all_reduce(x, "sum", self.group)

    def largest(self, x: torch.Tensor) -> torch.Tensor:
        """The maximum over ranks, on every rank."""
        return all_reduce(x, "max", self.group)

    def scatter(self, x: torch.Tensor) -> torch.Tensor:
        """(N, ...) -> (M, ...): x is summed over ranks, and each rank gets its rows of the sum."""
        if torch.distributed.get_backend(self.group) == "gloo":
            # older versions of gloo have no reduce-scatter
            return self.total(x).split(self.counts)[self.rank].clone()
        padded = torch.nn.utils.rnn.pad_sequence(x.split(self.counts), batch_first=True)
        mine = torch.empty_like(padded[0])
        torch.distributed.reduce_scatter_tensor(mine, padded.flatten(0, 1), group=self.group)
        return mine[: self.counts[self.rank]]
