"""The life of a group of ranks: start, agree, end (torchrun gives each its environment).

Ranks must never disagree on whether to go on: one that stops alone leaves the others waiting in a
collective for ever. So a problem before the first step, or a signal during the run, is shared, and
all stop together. What ranks tell each other on the host goes through a group of its own (gloo),
whose timeout is a day: an index of a billion pairs takes five hours at 53,800 pairs/s
(docs/data.md).
Left out: starting processes, and restarting them; torchrun does both, and restarts well with a
store of its own for each attempt: with the one that it shares by default, two in five restarts met
the last attempt's leavings and hung (torch 2.13, ranks killed at random).

    TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 torchrun --nproc-per-node 8 --max-restarts 3 train.py ...
"""

import contextlib
import hashlib
import os
import signal
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as torch_dist

from miniclip.common import UserError, pick_device
from miniclip.distributed.collectives import all_reduce, dist_info
from miniclip.training.checkpoint import map_tensors

ROOT = Path(__file__).parents[2]
_host = None  # the group for what is said on the host; None stands for the default one


def start(name):
    """Join the group that torchrun describes, if it does, and return this rank's device.

    name: 'auto', 'cpu', 'cuda', ... Under torchrun each rank takes the GPU of its local rank (nccl),
    or the CPU (gloo). Raises UserError, on all ranks together, when a device is not there or a
    machine has more ranks than GPUs.
    """
    global _host
    if "LOCAL_RANK" not in os.environ:
        return pick_device(name)
    cuda = name.startswith("cuda") or (name == "auto" and torch.cuda.is_available())
    ranks, cards = int(os.environ.get("LOCAL_WORLD_SIZE", 1)), torch.cuda.device_count()
    crowded = cuda and ranks > cards
    # nccl fails in its first collective when two ranks share a GPU; over gloo they can say so
    # a rank that vanishes without closing its connections is noticed after this long at most
    backend = "nccl" if cuda and not crowded else "gloo"
    torch_dist.init_process_group(backend, timeout=timedelta(minutes=10))
    _host = torch_dist.new_group(backend="gloo", timeout=timedelta(days=1))
    with together():
        if crowded:
            raise UserError(f"{ranks} ranks are too many for this machine's GPUs ({cards}); "
                            f"start one a GPU at most, or choose --device cpu")  # fmt: skip
        if name == "mps":
            raise UserError("--device mps is for one process; torchrun needs GPUs of CUDA or CPUs")
        device = pick_device(f"cuda:{os.environ['LOCAL_RANK']}" if cuda else name)
    if cuda:
        torch.cuda.set_device(device)
    return device


def restarted():
    """Whether torchrun has started these processes again after a failure (--max-restarts)."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)) > 0


def gather(x):
    """Every rank's x, anything that can be pickled, on every rank: a list in the order of ranks."""
    everybody = [x] * dist_info()[1]
    if len(everybody) > 1:
        torch_dist.all_gather_object(everybody, x, group=_host)
    return everybody


def first_problem(problem):
    """The first rank's problem as a sentence that names the rank, or None where no rank has one.

    problem: str or None, this rank's. Every rank gets the same answer, so all can stop together.
    """
    problems = gather(problem)
    found = [(r, p) for r, p in enumerate(problems) if p]
    if not found:
        return None
    everywhere = len(found) == len(problems) and len({p for _, p in found}) == 1
    return found[0][1] if everywhere else f"on rank {found[0][0]}: {found[0][1]}"


@contextlib.contextmanager
def together():
    """A block that raises UserError on every rank, the same sentence, when it does so on any.

    Nothing in the block may wait for another rank after this one could have raised.
    """
    problem = None
    try:
        yield
    except UserError as error:
        problem = str(error)
    if problem := first_problem(problem):
        raise UserError(problem)


def from_rank0(work):
    """What work() returns on rank 0, on every rank; other ranks do not call it.

    The result: nested dicts, lists and tuples of CPU tensors and of what can be pickled. All but
    the tensors goes in one message, then one tensor after the other, as bytes. Raises, on every
    rank, the UserError that work() raises.
    """
    rank, world = dist_info()
    if world == 1:
        return work()
    with together():
        result = work() if rank == 0 else None
    shapes = [map_tensors(lambda x: torch.empty_like(x, device="meta"), result)]
    torch_dist.broadcast_object_list(shapes, src=0, group=_host)
    if rank != 0:
        result = map_tensors(lambda x: torch.empty(x.shape, dtype=x.dtype), shapes[0])

    def send(x):
        if x.numel():  # of the receiving ranks' tensors this is a view
            torch_dist.broadcast(x.contiguous().view(-1).view(torch.uint8), src=0, group=_host)

    map_tensors(send, result)
    return result


@contextlib.contextmanager
def local_rank_first():
    """A block that local rank 0 of each machine runs before the others, who find what it cached."""
    wait = dist_info()[1] > 1
    first = int(os.environ.get("LOCAL_RANK", 0)) == 0
    if wait and not first:
        torch_dist.barrier(group=_host)
    try:
        yield
    finally:  # a problem of the first rank frees the others as well
        if wait and first:
            torch_dist.barrier(group=_host)


def agree(facts):
    """Raise UserError on all ranks, naming the first difference, unless all have the same facts.

    facts: {what: value}, this rank's.
    """
    everybody = gather(facts)
    for what, value in everybody[0].items():
        for rank, theirs in enumerate(everybody):
            if theirs.get(what) != value:
                raise UserError(f"all ranks must train the same model alike, but {what} is {value} "
                                f"on rank 0 and {theirs.get(what)} on rank {rank}")  # fmt: skip


def code_version():
    """A digest of the source files that training runs: 12 hexadecimal digits of their SHA-256."""
    digest = hashlib.sha256()
    for pattern in ("train.py", "miniclip/**/*.py", "kernels/**/*.py"):
        for path in sorted(ROOT.glob(pattern)):
            digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


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
    global _host
    if torch_dist.is_available() and torch_dist.is_initialized():
        torch_dist.destroy_process_group()
    _host = None
