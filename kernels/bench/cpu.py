"""The CPU half of `python -m kernels.bench`: row chunks, figure 3 and open_clip, in fresh processes.

Every measurement runs in a process of its own, so that memory which an allocator still holds from an
earlier one does not count. The losses take turns, so that other load on the machine slows all of
them. One step is forward and backward from features that are not normalized. Resident memory is the
highest during the first step, above what the process held with its inputs. Steps of
contrastive_loss take turns with their floor, which is the time of the four matrix products alone, in
the fastest of CHUNKS: "miniclip is faster by" .9 there means that the loss takes 1 / .9 of the floor.
Left out: the towers.
"""

import importlib.util
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

LOSSES = {
    "chunks": "miniclip contrastive_loss, in row chunks",
    "floor": "the four matrix products alone",
    "lines": "miniclip clip_loss, figure 3 in five lines",
    "open_clip": "open_clip ClipLoss",
}
CHUNKS = (128, 256, 512, 1024)  # rows of the floor's products at a time


def build(name: str) -> Callable:
    """The loss of that name, as f(image, text, logit_scale)."""
    if name != "open_clip":
        return {"chunks": contrastive_loss, "lines": clip_loss}[name]
    from open_clip.loss import ClipLoss

    theirs, unit = ClipLoss(), torch.nn.functional.normalize
    return lambda image, text, s: theirs(unit(image, dim=1), unit(text, dim=1), s.exp())


def resident_peak_bytes(reset: bool = False) -> int:
    """The most memory this process has held, since the last reset where the system can (Linux)."""
    if not sys.platform.startswith("linux"):
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    if reset:
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def floor_of(n: int, d: int) -> Callable[[], float]:
    """f(): the four products of a loss at (n, d), and no more, in the fastest chunk of CHUNKS.

    S in chunks of rows twice, G times the columns and G transposed times the rows, 2 n n d flop each,
    float32, into outputs allocated here.
    """
    rows, columns, by_row = torch.randn(3, n, d, generator=torch.Generator().manual_seed(1))
    by_column, scratch = torch.empty(n, d), torch.zeros(min(n, max(CHUNKS)), n)

    def products(chunk):
        """Returns the seconds it took."""
        start = time.perf_counter()
        for x, out in zip(rows.split(chunk), by_row.split(chunk)):
            s = scratch[: len(x)]
            for _ in range(2):
                torch.mm(x, columns.T, out=s)
            torch.mm(s, columns, out=out)
            torch.mm(s.T, x, out=by_column)
        return time.perf_counter() - start

    products(CHUNKS[0])  # touches every page
    fastest = min(CHUNKS, key=products)
    return lambda: products(fastest)


def measure(name: str, n: int, d: int, threads: int, steps: int, warm_up: int) -> dict:
    """In this process: {name: the median seconds of `steps` steps at (n, d), "growth_bytes": int}.

    "chunks" also gives "floor", the median of `floor_of` after every step. warm_up: steps before,
    which are not counted.
    """
    torch.set_num_threads(threads)
    loss, generator = build(name), torch.Generator().manual_seed(0)
    image, text = (torch.randn(n, d, generator=generator).requires_grad_() for _ in range(2))
    logit_scale = torch.tensor(2.659, requires_grad=True)
    small = [x[:64].detach().requires_grad_() for x in (image, text)]
    loss(*small, logit_scale).backward()  # libraries load and threads start here

    def step():
        image.grad = text.grad = None
        loss(image, text, logit_scale).backward()

    functions, growth = {name: step}, []
    if name == "chunks":
        functions["floor"] = floor_of(n, d)  # allocates nothing when it runs
    before = resident_peak_bytes(reset=True)
    grown = lambda _: growth.append(resident_peak_bytes() - before)  # noqa: E731
    seconds = take_turns(functions, steps, check=grown, warm_up=warm_up)
    medians = {which: statistics.median(own) for which, own in seconds.items()}
    return medians | {"growth_bytes": growth[0]}


def fresh(*arguments: str | int) -> dict:
    """`measure` of these arguments in a process of its own."""
    try:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            return pool.submit(measure, *arguments).result()
    except RuntimeError as error:  # torch's, or the process was killed
        first = str(error).splitlines()[0]
        said = f"measuring {' '.join(map(str, arguments))} failed, perhaps because memory was full"
        raise UserError(f"{said}: {first}") from None


def bench_cpu(sizes: list[int], d: int, threads: int, rounds: int) -> None:
    """Measure every loss at every size, and print the tables of times and of memory."""
    names = [n for n in LOSSES if n != "open_clip" or importlib.util.find_spec("open_clip")]
    names.remove("floor")  # it is measured with "chunks"
    measurements, memory = [], Table("N", "loss", "MiB above start")
    for n in sizes:
        # a step of a large batch takes half a minute: one in each process, without a warm-up
        steps = (3, 1) if n <= 8192 else (1, 0)
        seconds, growth = {}, {}
        for turn in range(rounds):
            for name in names:
                print(f"\rN {n}: {name}, round {turn + 1}/{rounds}   ", end="", file=sys.stderr)
                found = fresh(name, n, d, threads, *steps)
                growth[name] = max(growth.get(name, 0), found.pop("growth_bytes"))
                for which, median in found.items():
                    seconds.setdefault(LOSSES[which], []).append(median)
        measurements.append((n, seconds))
        for name in names:
            memory.add(n, LOSSES[name], f"{growth[name] / 2**20:.0f}")
    processor = machine(torch.device("cpu"))["device"]
    print(f"\n{processor}, {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}")
    print(f"forward + backward, float32, D = {d}, {threads} thread(s), medians")
    print(compare("N", "ms a step", lambda s: 1000 * s, measurements), memory, sep="\n\n")
