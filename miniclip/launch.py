"""The life of a group of ranks: start, agree, end (torchrun gives each its environment).

Ranks must never disagree on whether to go on: one that stops alone leaves the others waiting in a
collective for ever. So a problem before the first step, or a signal during the run, is shared, and
all stop together. Left out: starting processes, and restarting them; torchrun does both, and
restarts well with a store of its own for each attempt: with the one that it shares by default, two
in five restarts met the last attempt's leavings and hung (torch 2.13, ranks killed at random).

    TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 torchrun --nproc-per-node 8 --max-restarts 3 train.py ...
"""

import os
import signal
from datetime import timedelta

import torch
import torch.distributed as torch_dist

from miniclip.common import pick_device
from miniclip.dist import all_reduce, dist_info


def start(name):
    """Join the group that torchrun describes, if it does, and return this rank's device.

    name: 'auto', 'cpu', 'cuda', ... Under torchrun each rank takes the GPU of its local rank (nccl),
    or the CPU (gloo). Raises ValueError when the device is not there.
    """
    if "LOCAL_RANK" not in os.environ:
        return pick_device(name)
    cuda = name.startswith("cuda") or (name == "auto" and torch.cuda.is_available())
    # a rank that vanishes without closing its connections is noticed after this long at most
    torch_dist.init_process_group("nccl" if cuda else "gloo", timeout=timedelta(minutes=10))
    device = pick_device(f"cuda:{os.environ['LOCAL_RANK']}" if cuda else name)
    if cuda:
        torch.cuda.set_device(device)
    return device


def restarted():
    """Whether torchrun has started these processes again after a failure (--max-restarts)."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)) > 0


def first_problem(problem):
    """The first rank's problem as a sentence that names the rank, or None where no rank has one.

    problem: str or None, this rank's. Every rank gets the same answer, so all can stop together.
    """
    rank, world = dist_info()
    if world == 1:
        return problem
    problems = [None] * world
    torch_dist.all_gather_object(problems, problem)
    found = [(r, p) for r, p in enumerate(problems) if p]
    if not found:
        return None
    everywhere = len(found) == world and len({p for _, p in found}) == 1
    return found[0][1] if everywhere else f"on rank {found[0][0]}: {found[0][1]}"


class Signals:
    """Counts SIGINT and SIGTERM instead of dying of them; the second one kills as ever.

    received: the number of the first signal, or 0.
    """

    def __init__(self):
        self.received = 0
        self.before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
        for number in self.before:
            signal.signal(number, self._note)

    def restore(self):
        """From here on, signals do again what they did before."""
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _note(self, number, frame):
        self.received = number
        signal.signal(number, signal.SIG_DFL)


def any_rank(device, *facts):
    """For each of the numbers: its maximum over the ranks, so that all ranks decide alike."""
    if dist_info()[1] == 1:
        return facts
    return tuple(all_reduce(torch.tensor(facts, device=device), "max").tolist())


def end():
    """Leave the group."""
    if torch_dist.is_available() and torch_dist.is_initialized():
        torch_dist.destroy_process_group()
