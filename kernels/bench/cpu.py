"""The CPU half of `python -m kernels.bench`: row chunks, figure 3 and open_clip, in fresh processes.

Every measurement runs in a process of its own, so that memory which an allocator still holds from an
earlier one does not count. The losses take turns, so that other load on the machine slows all of
them. One step is forward and backward from features that are not normalized. Resident memory is the
highest during the first step, above what the process held with its inputs. Steps of
contrastive_loss take turns with their floor: the four matrix products alone, in the fastest of
CHUNKS. Left out: the towers.
"""

import importlib.util
import json
import pathlib
import statistics
import subprocess
import sys
import time

import torch

from kernels.bench.plot import plot
from kernels.table import Table
from miniclip.benchmarks.timer import spread, take_turns
from miniclip.common import UserError, machine, write_json
from miniclip.loss import clip_loss, contrastive_loss

LOSSES = {
    "chunks": "miniclip contrastive_loss, in row chunks",
    "lines": "miniclip clip_loss, figure 3 in five lines",
    "open_clip": "open_clip ClipLoss",
}
CHUNKS = (128, 256, 512, 1024)  # rows of the floor's products at a time


def build(name):
    """The loss of that name, as f(image, text, logit_scale)."""
    if name != "open_clip":
        return {"chunks": contrastive_loss, "lines": clip_loss}[name]
    from open_clip.loss import ClipLoss

    theirs, unit = ClipLoss(), torch.nn.functional.normalize
    return lambda image, text, s: theirs(unit(image, dim=1), unit(text, dim=1), s.exp())


def resident_peak_bytes(reset=False):
    """The most memory this process has held, since the last reset where the system can (Linux)."""
    if not sys.platform.startswith("linux"):
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    if reset:
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def floor_of(n, d):
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


def measure(name, n, d, threads, steps, warm_up):
    """In this process, of `steps` steps at (n, d): {"seconds": [...], "growth_bytes": int}.

    For "chunks" also "floor_seconds", of `floor_of` after every step. warm_up: steps before, which
    are not counted.
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

    functions, growth = {"seconds": step}, []
    if name == "chunks":
        functions["floor_seconds"] = floor_of(n, d)  # allocates nothing when it runs
    before = resident_peak_bytes(reset=True)

    seconds = take_turns(
        functions,
        steps,
        check=lambda _: growth.append(resident_peak_bytes() - before),
        warm_up=warm_up,
    )
    return dict(seconds, growth_bytes=growth[0])


def fresh(*arguments):
    """`measure` of these arguments in a process of its own."""
    command = [sys.executable, "-m", "kernels.bench.cpu", *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        said = done.stderr.strip() or "it was killed, perhaps because memory was full"
        raise UserError(
            f"measuring {' '.join(map(str, arguments))} failed: {said.splitlines()[-1]}"
        )
    return json.loads(done.stdout.splitlines()[-1])


def measure_all(sizes, d, threads, rounds, repeats):
    """A dict for every size and loss: seconds of the steps and resident growth.

    round_seconds has the median of every process.
    """
    names = [n for n in LOSSES if n != "open_clip" or importlib.util.find_spec("open_clip")]
    rows = []
    for n in sizes:
        # a step of a large batch takes half a minute: one a process, without a warm-up
        steps = (repeats, 1) if n <= 8192 else (1, 0)
        got = {name: [] for name in names}
        for turn in range(rounds):
            for name in names:
                print(f"\rN {n}: {name}, round {turn + 1}/{rounds}   ", end="", file=sys.stderr)
                got[name].append(fresh(name, n, d, threads, *steps))
        print("\r" + " " * 60 + "\r", end="", file=sys.stderr)
        for name, found in got.items():
            growth_bytes = [f.pop("growth_bytes") for f in found]
            seconds = {key: [s for f in found for s in f[key]] for key in found[0]}
            medians = [statistics.median(f["seconds"]) for f in found]
            row = dict(n=n, d=d, loss=name, growth_bytes=max(growth_bytes), round_seconds=medians)
            rows.append(row | seconds)
    return rows


def show(rows, threads):
    """Print the table; then for every N one line on contrastive_loss: times as fast as open_clip,
    share of the floor, memory."""
    columns = "s a step", "lowest to highest", "times chunks", "MiB above start"
    table, lines = Table("N", "loss", *columns), []
    by = {(r["n"], r["loss"]): r for r in rows}
    for (n, name), r in by.items():
        seconds, mebibytes = r["seconds"], f"{r['growth_bytes'] / 2**20:.0f}"
        ratio = statistics.median(seconds) / statistics.median(by[n, "chunks"]["seconds"])
        table.add(n, LOSSES[name], *spread(seconds, ".3f"), f"{ratio:.2f}", mebibytes)
        if name == "chunks":
            shares = [f / s for f, s in zip(r["floor_seconds"], seconds)]
            share = "share of the floor {} ({})".format(*spread(shares, ".2f"))
            line = f"{share}, {mebibytes} MiB"
            if theirs := by.get((n, "open_clip")):
                ratios = [t / o for t, o in zip(theirs["round_seconds"], r["round_seconds"])]
                faster = "times as fast as open_clip {} ({})".format(*spread(ratios, ".2f"))
                line = f"{faster}, {line} against {theirs['growth_bytes'] / 2**20:.0f}"
            lines.append(f"N {n}: {line}")
    processor = machine(torch.device("cpu"))["device"]
    print(f"{processor}, {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}")
    print(f"forward + backward, float32, D = {rows[0]['d']}, {threads} thread(s), medians")
    print(table, *lines, sep="\n")


def bench_cpu(options):
    """The command on a CPU; options as __main__.py parses them. Returns the exit code."""
    sizes, d, threads = options.sizes or [4096, 16384], options.dim, options.threads
    rows = measure_all(sizes, d, threads, options.rounds, options.repeats)
    show(rows, threads)
    if options.out:
        write_json(options.out / "bench.json", rows)
        plot(
            rows,
            lambda r: statistics.median(r["seconds"]),
            lambda r: r["growth_bytes"] / 2**20,
            f"CPU, D = {d}, {threads} thread(s)",
            options.out / "bench.png",
        )
    return 0


if __name__ == "__main__":
    name, *numbers = sys.argv[1:]
    print(json.dumps(measure(name, *map(int, numbers))))
