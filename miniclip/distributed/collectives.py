"""The rank of a process, the number of ranks, and the collectives that the loss needs.

The paper shards the similarities over GPUs (CLIP, section 2.5). Without torch.distributed each
collective returns its argument, so that the loss has no special case for one process. No gradient
flows through a collective, because the loss computes its gradient in full (kernels/contrastive.py);
no factor of the number of ranks can be wrong in it. Ranks may hold different numbers of pairs. Their
rows are padded to the largest number before they are sent. Left out: starting processes (torchrun).
Lesson: lessons/10_sharding.md.
"""

from functools import cache, partial

import torch
import torch.distributed as torch_dist
from torch import Tensor


def dist_info(group: "torch_dist.ProcessGroup | None" = None) -> tuple[int, int]:
    """(rank, world) in the group, None being the default one; (0, 1) without torch.distributed."""
    if not (torch_dist.is_available() and torch_dist.is_initialized()):
        return 0, 1
    return torch_dist.get_rank(group), torch_dist.get_world_size(group)


def host_group(group: "torch_dist.ProcessGroup | None" = None) -> "torch_dist.ProcessGroup":
    """A group of the same ranks that exchanges CPU tensors; made at the first call, by all ranks."""
    return _host_group(torch_dist.group.WORLD if group is None else group)


@cache
def _host_group(group):
    """`host_group` of a group that is not None: after a new start WORLD is another one."""
    if torch_dist.get_backend(group) == "gloo":
        return group
    ranks = torch_dist.get_process_group_ranks(group)
    return torch_dist.new_group(ranks, backend="gloo", use_local_synchronization=True)


def print0(*args, **kw) -> None:
    """print, on rank 0 only."""
    if dist_info()[0] == 0:
        print(*args, **kw)


def all_gather(
    x: Tensor, counts: list[int] | None = None, group: "torch_dist.ProcessGroup | None" = None
) -> Tensor:
    """The rows of all ranks, in the order of ranks.

    x: (M, ...), the rows of this rank. counts: each rank's M, None where they are equal. Returns
    (sum of counts, ...), on one rank x itself.
    """
    world = dist_info(group)[1]
    if world == 1:
        return x
    counts = counts or [len(x)] * world
    padded = x.new_zeros(max(counts), *x.shape[1:])
    padded[: len(x)] = x
    parts = [torch.empty_like(padded) for _ in counts]
    torch_dist.all_gather(parts, padded, group=group)
    return torch.cat([part[:count] for part, count in zip(parts, counts)])


def all_reduce(
    x: Tensor, op: str = "sum", group: "torch_dist.ProcessGroup | None" = None
) -> Tensor:
    """The sum or the maximum (op "max") of x over ranks, on every rank; on one rank x itself."""
    if dist_info(group)[1] == 1:
        return x
    x = x.clone()
    torch_dist.all_reduce(x, getattr(torch_dist.ReduceOp, op.upper()), group=group)
    return x


def reduce_scatter(
    x: Tensor, counts: list[int] | None = None, group: "torch_dist.ProcessGroup | None" = None
) -> Tensor:
    """The rows of this rank in the sum over ranks. x: (sum of counts, ...) -> (M, ...)."""
    rank, world = dist_info(group)
    if world == 1:
        return x
    counts = counts or [len(x) // world] * world
    if torch_dist.get_backend(group) == "gloo":  # older versions of it have no reduce-scatter
        return all_reduce(x, group=group).split(counts)[rank].clone()
    padded = torch.nn.utils.rnn.pad_sequence(x.split(counts), batch_first=True)
    mine = torch.empty_like(padded[0])
    torch_dist.reduce_scatter_tensor(mine, padded.flatten(0, 1), group=group)
    return mine[: counts[rank]]


class GroupCollectives:
    """The collectives that kernels.contrastive asks for. counts: the pairs of each rank.

    gather: (M, ...) -> (N, ...), the rows of all ranks. total, largest: the sum and the maximum
    over ranks. scatter: (N, ...) -> (M, ...), the rows of this rank in the sum over ranks.
    """

    def __init__(self, counts: list[int], group: "torch_dist.ProcessGroup | None" = None):
        rank, self.world = dist_info(group)
        self.offset = sum(counts[:rank])
        self.gather = partial(all_gather, counts=counts, group=group)
        self.total = partial(all_reduce, group=group)
        self.largest = partial(all_reduce, op="max", group=group)
        self.scatter = partial(reduce_scatter, counts=counts, group=group)
