"""How the processes (ranks) of one run start, agree and stop together.

If one rank stops alone, the others wait in a collective until its timeout. So an error before the
first step, or a signal during the run, is sent to all ranks, and all of them stop at the same step.
Python objects are sent through a second group (gloo). Its timeout is a day, because ranks wait
there while another makes an index of the shards. For a billion pairs this takes five hours, at
53,800 pairs/s (docs/data.md).

Left out: starting and restarting processes, which torchrun does. Tell torchrun to use a new store
for each attempt, as below. By default all attempts share one store, and the keys of the previous
attempt made two in five restarts hang (torch 2.13, ranks killed at random times).

    TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 torchrun --nproc-per-node 8 --max-restarts 3 train.py ...
"""

import contextlib
import hashlib
import multiprocessing
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from pathlib import Path

import torch

from miniclip.common import (
    MEMORY_FULL,
    UserError,
    ctrl_c_ends,
    pick_device,
    refuse,
    shell_line,
)
from miniclip.distributed.collectives import all_reduce, dist_info, print0

ROOT = Path(__file__).parents[2]
PATIENCE_S = 5  # after which a rank says that it waits for the others
STOPPING = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]
_host = None  # the group through which Python objects are sent; None is the default group


def start(name: str) -> torch.device:
    """Join the group that torchrun's environment variables describe, if they are there. Returns
    this rank's device.

    name: 'auto', 'cpu', 'cuda', ... Under torchrun each rank takes the GPU with the number of its
    local rank (nccl), or the CPU (gloo). Raises UserError on all ranks if a device is missing, or
    if a machine has more ranks than GPUs.
    """
    global _host
    world, is_rank = told_by_torchrun("WORLD_SIZE", 1), "LOCAL_RANK" in os.environ
    refuse(
        {
            f"WORLD_SIZE in the environment is {world}, but LOCAL_RANK is not set; start with "
            "torchrun, or unset WORLD_SIZE": world > 1 and not is_rank,
            "RANK in the environment is not below WORLD_SIZE; start with torchrun, or unset "
            "LOCAL_RANK": is_rank and told_by_torchrun("RANK", 0) >= world,
        }
    )
    if not is_rank:
        return pick_device(name)
    cuda = name.startswith("cuda") or (name == "auto" and torch.cuda.is_available())
    ranks, cards = told_by_torchrun("LOCAL_WORLD_SIZE", 1), torch.cuda.device_count()
    crowded = cuda and ranks > cards
    waits = (
        f"still waiting for the other ranks at {os.environ.get('MASTER_ADDR')}:"
        f"{os.environ.get('MASTER_PORT')}; to train in one process, unset LOCAL_RANK"
    )
    told = threading.Timer(PATIENCE_S, print, [waits], dict(file=sys.stderr, flush=True))
    told.daemon = True
    told.start()
    # a rank that died without closing its connections is noticed after this time at the latest
    try:
        with ctrl_c_ends():  # torch waits in C++, where Python handles no signal
            torch.distributed.init_process_group(
                # nccl fails in its first collective if two ranks share a GPU, so gloo sends the
                # sentence below
                "nccl" if cuda and not crowded else "gloo",
                timeout=timedelta(minutes=10),
            )
    except (ValueError, RuntimeError) as error:
        reason = str(error).split("\n")[0]
        raise UserError(
            f"the ranks cannot be connected: {reason}; start with torchrun, or unset LOCAL_RANK"
        ) from None
    finally:
        told.cancel()
    _host = torch.distributed.new_group(backend="gloo", timeout=timedelta(days=1))
    with together():
        refuse(
            {
                f"{ranks} ranks are too many for this machine's GPUs ({cards}); start at most one "
                "for each GPU, or choose --device cpu": crowded,
                "--device mps is for one process; torchrun needs CUDA GPUs or CPUs": name == "mps",
            }
        )
        device = pick_device(f"cuda:{os.environ['LOCAL_RANK']}" if cuda else name)
    if cuda:
        torch.cuda.set_device(device)
    return device


@contextlib.contextmanager
def member(name: str) -> Iterator[torch.device]:
    """`with member(name) as device:` calls `start`, and leaves the group after the block.

    The block may end with a UserError on all ranks. Its sentence is then kept on rank 0 and emptied
    on the other ranks, so that it is printed once. If another rank or a loading process was killed,
    a UserError says so. A notebook may have switched gradients off: a UserError, too.
    """
    problem = None
    refuse(
        {
            "gradients are switched off in this process; leave torch.inference_mode, or call "
            "torch.set_grad_enabled(True)": not torch.is_grad_enabled()
        }
    )
    try:
        yield start(name)
    except (UserError, OSError) as error:  # all ranks have stopped
        problem = UserError("") if isinstance(error, UserError) and dist_info()[0] else error
    except RuntimeError as error:
        lost = isinstance(error, torch.distributed.DistError) or "gloo" in str(error)
        if re.search(r"DataLoader worker \(pid", str(error)):
            ended = "a loading process was killed, perhaps because memory was full"
        elif dist_info()[1] > 1 and lost:
            ended = f"rank {dist_info()[0]} has lost the connection to another rank"
        elif MEMORY_FULL.search(str(error)):
            raise UserError(
                "memory is full; add --micro-batch, or make it or --batch-size smaller"
            ) from None
        elif re.search(r"C(\+\+)? compiler", str(error)):
            raise UserError(
                "--compile needs a C++ compiler, such as g++; install one, or leave out --compile"
            ) from None
        else:
            raise
        raise UserError(f"{ended}; give the same command again, with --resume") from None
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    if problem:
        raise problem


def launched(*arguments: str) -> str:
    """The command line that starts a script with as many ranks per machine as there are now.
    arguments: the script and its options."""
    ranks = told_by_torchrun("LOCAL_WORLD_SIZE", 1)
    # On several machines torchrun also needs --nnodes and an address. Without the two dashes it
    # refuses --log, because it has a --log-dir.
    torchrun = f"torchrun --nproc-per-node {ranks}{' --' * ('--log' in arguments)}"
    return f"{torchrun if dist_info()[1] > 1 else 'python'} {shell_line(arguments)}"


def told_by_torchrun(name: str, otherwise: int) -> int:
    """The whole number in the environment variable `name`, which torchrun sets, or `otherwise` if
    it is not set. Raises UserError if its value is not a whole number."""
    text = os.environ.get(name, str(otherwise))
    refuse(
        {
            f"the environment variable {name} is {text!r}, not a number; start with torchrun, or "
            "unset it": not text.isdecimal()
        }
    )
    return int(text)


def end_with_parent() -> None:
    """Let a process that Python has started end when the process that started it is killed."""

    def watch():
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def in_processes(function: Callable, *rows, most=None, start=None, chunksize=1) -> list:
    """[function(*row) for row in zip(*rows)], computed in processes that end with this one.

    most: how many processes, None for one per core. start: how Python starts them, None for the
    way of this system. After Ctrl-C they are killed.
    """
    with ProcessPoolExecutor(most, multiprocessing.get_context(start), end_with_parent) as pool:
        # the new processes leave Ctrl-C to this one, also while they import torch
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            results = pool.map(function, *rows, chunksize=chunksize)
        finally:
            signal.signal(signal.SIGINT, before)
        try:
            return [*results]
        except KeyboardInterrupt:
            for process in multiprocessing.active_children():
                process.kill()
            raise


def gather(x) -> list:
    """[x of each rank] in the order of ranks, on every rank. x: anything that can be pickled."""
    of_all = [x] * dist_info()[1]
    if len(of_all) > 1:
        torch.distributed.all_gather_object(of_all, x, group=_host)
    return of_all


@contextlib.contextmanager
def together() -> Iterator[None]:
    """A block in which a UserError on any rank becomes a UserError on all ranks.

    All ranks get the sentence of the lowest rank that raised a UserError. The sentence also names
    that rank, unless all ranks raised the same sentence. A line that can raise must not be followed
    by a collective in the block, because the other ranks would wait in that collective.
    """
    problem = None
    try:
        yield
    except UserError as error:
        problem = str(error)
    problems = gather(problem)
    for rank, first in enumerate(problems):
        if first:
            same = problems.count(first) == len(problems)
            raise UserError(first if same else f"on rank {rank}: {first}")


def from_rank0(work: Callable):
    """Call work() on rank 0, and return its result, which must be picklable, on every rank.

    A UserError of work() is raised on every rank.
    """
    rank, world = dist_info()
    with together():
        result = [work() if rank == 0 else None]
    if world > 1:
        torch.distributed.broadcast_object_list(result, src=0, group=_host)
    return result[0]


@contextlib.contextmanager
def local_rank_first() -> Iterator[None]:
    """A block that local rank 0 of each machine runs first. The others then find what it cached."""
    first = told_by_torchrun("LOCAL_RANK", 0) == 0
    if not first:
        gather("waiting")
    try:
        yield
    finally:  # also after an exception: the others are waiting
        if first:
            gather("done")


def agree(facts: dict) -> None:
    """Raise UserError on all ranks unless all have the same facts. The sentence names the first
    difference. facts: {name of a fact: its value on this rank}."""
    of_all = gather(facts)
    refuse(
        {
            f"all ranks must have the same options, data and code, but {what} is {value} on rank 0 "
            f"and {theirs.get(what)} on rank {rank}": theirs.get(what) != value
            for what, value in of_all[0].items()
            for rank, theirs in enumerate(of_all)
        }
    )


def code_version() -> str:
    """The first 12 hexadecimal digits of the SHA-256 of all .py files in miniclip/ and kernels/ and
    of train.py."""
    paths = [ROOT / "train.py", *ROOT.glob("miniclip/**/*.py"), *ROOT.glob("kernels/**/*.py")]
    texts = [str(path.relative_to(ROOT)).encode() + path.read_bytes() for path in sorted(paths)]
    return hashlib.sha256(b"\0".join(texts)).hexdigest()[:12]


@contextlib.contextmanager
def noted_signals() -> Iterator[list[int]]:
    """`with noted_signals() as received:` is a block in which the first of the signals in STOPPING
    that arrives does not end the process. Instead its number is appended to the list `received`,
    and a line says that the run stops after this step. Ctrl-C after that ends the process at once.

    A signal that was ignored before the block (SIGHUP under nohup) stays ignored. After the block
    all signals act as before it. A thread reads the signals from a socket, because Python runs a
    handler only after torch has returned from a backward pass, which may take many seconds.
    In a thread that is not the main one Python can handle no signals, so the block notes none.
    """
    if threading.current_thread() is not threading.main_thread():
        yield []
        return
    received, (reading, writing) = [], socket.socketpair()
    handlers = {number: signal.getsignal(number) for number in STOPPING}
    noted = {number: before for number, before in handlers.items() if before != signal.SIG_IGN}

    def told():
        with contextlib.suppress(OSError):  # the terminal may be gone
            print0(
                "stopping after this step, and saving; Ctrl-C again to quit at once without saving",
                file=sys.stderr,
                flush=True,
            )

    def watch():
        while number := reading.recv(1)[0]:
            # not for a second SIGHUP, because a closing terminal sends it two times
            if received and number == signal.SIGINT:
                os._exit(128 + number)
            if number in noted and not received:
                received.append(number)
                # in a thread of its own, which may wait for a reader of the output for ever
                threading.Thread(target=told, daemon=True).start()

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    writing.setblocking(False)
    woken = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    for number in noted:
        signal.signal(number, lambda *_: None)
    try:
        yield received
    finally:
        for number, before in noted.items():
            signal.signal(number, before or signal.SIG_DFL)
        signal.set_wakeup_fd(woken)
        with reading, writing:
            writing.send(bytes(1))
            watching.join()


def any_rank(device: torch.device, *facts: float) -> tuple[float, ...]:
    """The maximum over ranks of each number, so that all ranks take the same decision."""
    if dist_info()[1] == 1:
        return facts
    return tuple(all_reduce(torch.tensor(facts, device=device), "max").tolist())
