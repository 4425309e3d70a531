"""Time and memory of the contrastive loss beside its peers: `python -m kernels.bench`.

    python -m kernels.bench --device cpu     torch in row chunks against figure 3 and open_clip
    python -m kernels.bench                  on a GPU: the whole loss and every kernel (gpu.py)

On a CPU every measurement runs in a fresh process on one thread, so that neither an allocator's
hoard nor a second thread blurs it, and the losses take turns, so that a busy machine is busy for
all. One step is forward and backward from un-normalized features. Resident memory is the highest
during the first step, above what the process held with its inputs. Our steps take turns with their
floor in one process: the four matrix products alone, in the fastest of CHUNKS. Left out: the towers.
"""

import argparse
import contextlib
import importlib.util
import json
import pathlib
import platform
import statistics
import subprocess
import sys
import time

import torch

from kernels.table import Table

LOSSES = {
    "chunks": "miniclip contrastive_loss, in row chunks",
    "lines": "miniclip clip_loss, figure 3 in five lines",
    "open_clip": "open_clip ClipLoss",
}
CHUNKS = (128, 256, 512, 1024)  # rows of the floor's products at a time


def build(name):
    """The loss of that name, as f(image, text, logit_scale)."""
    if name == "open_clip":
        from open_clip.loss import ClipLoss

        theirs, unit = ClipLoss(), torch.nn.functional.normalize
        return lambda image, text, s: theirs(unit(image, dim=1), unit(text, dim=1), s.exp())
    from miniclip.loss import clip_loss, contrastive_loss

    return {"chunks": contrastive_loss, "lines": clip_loss}[name]


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


def timed(step):
    """Seconds of step()."""
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def floor_of(n, d):
    """f(): the four products of a loss at (n, d), and no more, in the fastest chunk of CHUNKS.

    S in chunks of rows twice, G times the columns and G transposed times the rows, 2 n n d flop each,
    float32, into outputs allocated here.
    """
    rows, columns, by_row = torch.randn(3, n, d, generator=torch.Generator().manual_seed(1))
    by_column, scratch = torch.empty(n, d), torch.zeros(min(n, max(CHUNKS)), n)

    def products(chunk):
        pieces = zip(rows.split(chunk), by_row.split(chunk))
        for x, out in pieces:
            s = scratch[: len(x)]
            for _ in range(2):
                torch.mm(x, columns.T, out=s)
            torch.mm(s, columns, out=out)
            torch.mm(s.T, x, out=by_column)

    products(CHUNKS[0])  # touches every page
    fastest = min(CHUNKS, key=lambda chunk: timed(lambda: products(chunk)))
    return lambda: products(fastest)


def measure(name, n, d, threads, repeats):
    """In this process, of `repeats` steps at (n, d): {"seconds": [...], "growth_bytes": int}.

    For "chunks" also "floor_seconds", of `floor_of` after every step.
    """
    torch.set_num_threads(threads)
    loss, generator = build(name), torch.Generator().manual_seed(0)
    image, text = (torch.randn(n, d, generator=generator).requires_grad_() for _ in range(2))
    logit_scale = torch.tensor(2.659, requires_grad=True)
    small = [x[:64].detach().requires_grad_() for x in (image, text)]
    loss(*small, logit_scale).backward()  # libraries load and threads start here
    floor = floor_of(n, d) if name == "chunks" else None
    before, seconds, growth_bytes = resident_peak_bytes(reset=True), [], 0
    floor_seconds = []
    for step in range(repeats):
        image.grad = text.grad = None
        seconds.append(timed(lambda: loss(image, text, logit_scale).backward()))
        growth_bytes = growth_bytes or resident_peak_bytes() - before
        if floor:
            floor_seconds.append(timed(floor))
    got = {"seconds": seconds, "growth_bytes": growth_bytes}
    return dict(got, floor_seconds=floor_seconds) if floor else got


def fresh(*arguments):
    """`measure` of these arguments in a process of its own."""
    command = [sys.executable, "-m", "kernels.bench", "--child", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def bench_cpu(sizes, d, threads, rounds, repeats):
    """Rows of the table: for every size and loss, seconds of a step and resident growth."""
    names = [n for n in LOSSES if n != "open_clip" or importlib.util.find_spec("open_clip")]
    rows = []
    for n in sizes:
        # a large batch takes half a minute a step: one a process, which is its own warm-up
        steps = repeats + 1 if n <= 8192 else 1
        got = {name: [] for name in names}
        for turn in range(rounds):
            for name in names:
                print(f"\rN {n}: {name}, round {turn + 1}/{rounds}   ", end="", file=sys.stderr)
                got[name].append(fresh(name, n, d, threads, steps))
        print("\r" + " " * 60 + "\r", end="", file=sys.stderr)
        for name in names:
            warm = [r["seconds"][1:] or r["seconds"] for r in got[name]]
            row = {"n": n, "d": d, "loss": name, "seconds": [s for w in warm for s in w]}
            row["growth_bytes"] = max(r["growth_bytes"] for r in got[name])
            row["round_seconds"] = [statistics.median(w) for w in warm]
            if name == "chunks":
                floors = [r["floor_seconds"][-len(w) :] for r, w in zip(got[name], warm)]
                row["floor_seconds"] = [s for f in floors for s in f]
            rows.append(row)
    return rows


def spread(values):
    """The text "median (least to most)" of some numbers, with two digits behind the point."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def summary(rows):
    """For every N one line on our loss: times as fast as open_clip, share of the floor, memory."""
    lines = []
    by = {(r["n"], r["loss"]): r for r in rows}
    for n in dict.fromkeys(r["n"] for r in rows):
        ours, theirs = by[n, "chunks"], by.get((n, "open_clip"))
        share = spread([f / s for f, s in zip(ours["floor_seconds"], ours["seconds"])])
        line = f"share of the floor {share}, {ours['growth_bytes'] / 2**20:.0f} MiB"
        if theirs:
            pairs = zip(theirs["round_seconds"], ours["round_seconds"])
            line = f"times as fast as open_clip {spread([t / o for t, o in pairs])}, {line}"
            line += f" against {theirs['growth_bytes'] / 2**20:.0f}"
        lines.append(f"N {n}: {line}")
    return lines


def processor():
    """The processor's name, as far as the system tells it, and the vector instructions torch uses."""
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):  # Linux only
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


def show_cpu(rows, threads):
    """The table, and `summary`."""
    table = Table("N", "loss", "s a step", "fastest", "slowest", "times chunks", "MiB above start")
    median = {(r["n"], r["loss"]): statistics.median(r["seconds"]) for r in rows}
    for r in rows:
        middle = median[r["n"], r["loss"]]
        ratio = middle / median[r["n"], "chunks"]
        low, high = min(r["seconds"]), max(r["seconds"])
        mebibytes = r["growth_bytes"] / 2**20
        table.add(r["n"], LOSSES[r["loss"]], f"{middle:.3f}", f"{low:.3f}", f"{high:.3f}",
                  f"{ratio:.2f}", f"{mebibytes:.0f}")  # fmt: skip
    print(f"{processor()}, torch {torch.__version__}")
    print(f"forward + backward, float32, D = {rows[0]['d']}, {threads} thread(s), medians")
    print(table)
    print(*summary(rows), sep="\n")


def plot(rows, time_of, bytes_of, title, path):
    """Time and memory over N, one line a loss. rows: dicts with n and loss; *_of: row -> number."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4))
    for axis, of, what in zip(axes, (time_of, bytes_of), ("seconds a step", "MiB")):
        for loss in dict.fromkeys(r["loss"] for r in rows):
            points = [(r["n"], of(r)) for r in rows if r["loss"] == loss and of(r)]
            axis.plot(*zip(*points), "o-", label=loss)
        axis.set(xscale="log", yscale="log", xlabel="N", ylabel=what)
    axes[0].legend()
    figure.suptitle(title)
    figure.savefig(path, dpi=80, bbox_inches="tight")
    plt.close(figure)


def main(argv=None):
    """The command; returns its exit code."""
    if argv is None:
        argv = sys.argv[1:]
    if argv[:1] == ["--child"]:
        name, *numbers = argv[1:]
        print(json.dumps(measure(name, *map(int, numbers))))
        return 0
    parser = argparse.ArgumentParser(
        prog="python -m kernels.bench", description=__doc__.split("\n")[0]
    )
    auto = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=["cpu", "cuda"], default=auto)
    parser.add_argument("--sizes", type=int, nargs="+", help="batch sizes N (two on a CPU)")
    parser.add_argument("--dim", type=int, default=512, help="width E of the features")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--rounds", type=int, default=3, help="fresh processes for each loss (CPU)")
    parser.add_argument("--repeats", type=int, default=3, help="timed steps in each process (CPU)")
    parser.add_argument("--out", type=pathlib.Path, help="folder for bench.json and bench.png")
    options = parser.parse_args(argv)
    if options.device == "cuda":
        if not torch.cuda.is_available():
            print("there is no GPU here; --device cpu measures the torch losses", file=sys.stderr)
            return 2
        from kernels.bench.gpu import bench_gpu

        return bench_gpu(options)
    sizes = options.sizes or [4096, 16384]
    if min(*sizes, options.dim, options.threads, options.rounds, options.repeats, 10**9) < 1:
        print("sizes, dim, threads, rounds and repeats must be at least 1", file=sys.stderr)
        return 2
    rows = bench_cpu(sizes, options.dim, options.threads, options.rounds, options.repeats)
    show_cpu(rows, options.threads)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "bench.json").write_text(json.dumps(rows, indent=1))
        plot(
            rows,
            lambda r: statistics.median(r["seconds"]),
            lambda r: r["growth_bytes"] / 2**20,
            f"CPU, D = {options.dim}, {options.threads} thread(s)",
            options.out / "bench.png",
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
