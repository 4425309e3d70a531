"""The CPU half of `python -m kernels.bench`: row chunks, figure 3 and open_clip, in fresh processes.

Every measurement runs in a process of its own, so that memory which an allocator still holds from an
earlier one does not count. The losses take turns, so that other load on the machine slows all of
them. One step is forward and backward from features that are not normalized. Resident memory is the
highest of all steps, above what the process held with its inputs. Left out: the towers.
"""

import importlib.util
import math
import multiprocessing
import pathlib
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import torch

from kernels.table import Table
from miniclip.benchmarks.timer import compare, take_turns
from miniclip.common import UserError, machine
from miniclip.loss import clip_loss, contrastive_loss


def losses() -> dict[str, Callable]:
    """{name: f(image, text, logit_scale)}: ours, and open_clip's where it is installed."""
    found = {
        "miniclip contrastive_loss, in row chunks": contrastive_loss,
        "miniclip clip_loss, figure 3 in five lines": clip_loss,
    }
    if importlib.util.find_spec("open_clip"):
        from open_clip.loss import ClipLoss

        theirs, unit = ClipLoss(), torch.nn.functional.normalize
        found["open_clip ClipLoss"] = lambda image, text, s: theirs(
            unit(image, dim=1), unit(text, dim=1), s.exp()
        )
    return found


def fresh(function: Callable, *arguments):
    """function(*arguments), computed in a process of its own."""
    try:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            return pool.submit(function, *arguments).result()
    except RuntimeError as error:  # torch's, or the process was killed
        raise UserError(f"a measurement failed, perhaps because memory was full: {error}") from None


def timed(
    step: Callable[[], object], rounds: int, clock: Callable[[], float], warm_up: int = 0
) -> tuple[list[float], float]:
    """(the seconds of each step, MiB that this process held at its peak, above what it held before).

    warm_up: steps before these, whose time does not count. Only Linux tells the peak; NaN elsewhere.
    """
    process = pathlib.Path("/proc/self")

    def resident_kib(line):
        if not process.exists():
            return math.nan
        return int((process / "status").read_text().split(f"{line}:")[1].split()[0])

    if process.exists():
        (process / "clear_refs").write_text("5")  # the peak begins anew
    before = resident_kib("VmRSS")
    seconds = take_turns({"": step}, rounds, clock, warm_up=warm_up)[""]
    return seconds, (resident_kib("VmHWM") - before) / 1024


def measure(
    name: str, n: int, d: int, threads: int, rounds: int, warm_up: int
) -> tuple[float, float]:
    """In this process: the median seconds of a step at (n, d), and its MiB (see `timed`)."""
    torch.set_num_threads(threads)
    loss, generator = losses()[name], torch.Generator().manual_seed(0)
    image, text = (torch.randn(n, d, generator=generator).requires_grad_() for _ in range(2))
    logit_scale = torch.tensor(2.659, requires_grad=True)
    small = [x[:64].detach().requires_grad_() for x in (image, text)]
    loss(*small, logit_scale).backward()  # libraries load and threads start here

    def step():
        image.grad = text.grad = None
        loss(image, text, logit_scale).backward()

    seconds, mib = timed(step, rounds, time.perf_counter, warm_up)
    return statistics.median(seconds), mib


def bench_cpu(sizes: list[int], d: int, threads: int, rounds: int) -> None:
    """Measure every loss at every size, and print the tables of times and of memory."""
    measurements, memory = [], Table("N", "loss", "MiB above start")
    for n in sizes:
        # a step of a large batch takes half a minute: one in each process, without a warm-up
        steps = (3, 1) if n <= 8192 else (1, 0)
        results = {name: [] for name in losses()}
        for turn in range(rounds):
            for name, own in results.items():
                print(f"\rN {n}: {name}, round {turn + 1}/{rounds}   ", end="", file=sys.stderr)
                own.append(fresh(measure, name, n, d, threads, *steps))
        measurements.append((n, {name: [s for s, _ in own] for name, own in results.items()}))
        for name, own in results.items():
            memory.add(n, name, f"{max(mib for _, mib in own):.0f}")
    print(f"\n{machine(torch.device('cpu'))['device']}, {torch.backends.cpu.get_cpu_capability()}")
    print(
        f"torch {torch.__version__}, forward + backward, float32, D = {d}, {threads} thread(s), medians"
    )
    print(compare("N", "ms a step", lambda s: 1000 * s, measurements), memory, sep="\n\n")
