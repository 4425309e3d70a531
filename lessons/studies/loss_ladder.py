"""One contrastive loss from naive to fast, and the sums in it: memory and time on a CPU.

    OMP_NUM_THREADS=1 python lessons/studies/loss_ladder.py

The script measures, and writes loss_ladder.json beside this file. Lessons 06, 08 and 09 show its
"rows", which are whole losses. Each loss is measured in a process of its own. Its memory is the
peak of the resident memory, minus the memory of the inputs. It runs ROUNDS x REPEATS times, and its
time is the processor time of the fastest run, because other programs may slow a run, but never make
it faster.

Lesson 07 shows "sums", the sums of the exponentials of similarities over rows and over columns.
They are computed in plain torch, by torch.compile, and by kernels/reference.py, which take turns
SUMS_ROUNDS times in one process.
"""

import functools
import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # the checkout

import torch

from kernels import reference
from kernels.bench.__main__ import fresh, measure, timed
from kernels.softmax import LN2, LOWEST, absorb
from miniclip.benchmarks.timer import take_turns
from miniclip.common import command, machine
from miniclip.loss import clip_loss, contrastive_loss

FILE = Path(__file__).with_suffix(".json")
N, D, THREADS, ROUNDS, REPEATS = 4096, 512, 1, 5, 3
SUMS_N, SUMS_ROUNDS = 8192, 7
SCALE_LOG2, SHIFT = torch.tensor(20.0), torch.tensor(0.0)


def online_loss(image, text, logit_scale, rows=512):
    """`clip_loss` with a running maximum, `rows` rows of the matrix at a time, with autograd."""
    x, y = (torch.nn.functional.normalize(t, dim=1) for t in (image, text))
    highest, z, lse = torch.full((len(y),), LOWEST), torch.zeros(len(y)), 0.0
    for part in x.split(rows):
        s = (logit_scale.exp() / LN2) * part @ y.T  # (rows, N), in bits
        lse = lse + torch.logsumexp(LN2 * s, 1).sum()  # a row is complete, a column goes on
        highest, z = absorb(highest, z, s.T)
    matched = logit_scale.exp() * (x * y).sum()
    return ((lse + LN2 * (highest + z.log2()).sum()) / 2 - matched) / len(y)


LOSSES = {
    "the whole matrix": clip_loss,
    "running maximum": online_loss,
    "shared shift": contrastive_loss,
}


def unit_rows():
    """Two tensors of SUMS_N unit rows."""
    generator = torch.Generator().manual_seed(0)
    return torch.nn.functional.normalize(torch.randn(2, SUMS_N, D, generator=generator), dim=2)


def plain_sums(x, y):
    """Row sums and column sums, as one would write them in plain torch."""
    e = (SCALE_LOG2 * (x @ y.T) - SHIFT).exp2()
    return e.sum(1), e.sum(0)


def sums_by_chunks(x, y):
    """The library's sums, with an offset at which no column matches a row, so none is left out."""
    chunk = reference.default_chunk(len(y), x.dtype)
    return reference.sums(x, y, SCALE_LOG2, SHIFT, len(y), chunk)


SUMS = {
    "plain torch": plain_sums,
    "torch.compile": torch.compile(plain_sums),
    "chunks of rows": sums_by_chunks,
}


def peak_mib(name):
    """MiB that a call of SUMS holds at its peak, above what the process held with its inputs."""
    torch.set_num_threads(THREADS)
    x, y = unit_rows()
    for rows in (64, 128):  # libraries load, and torch compiles for one size and then for any
        SUMS[name](x[:rows], y[:rows])
    return timed(lambda: SUMS[name](x, y), 1)[1]


def measure_sums():
    """{name: {"mib", "ms", "faster"}} of SUMS.

    faster: how many times faster than plain torch, [least, median, most] of the rounds.
    """
    torch.set_num_threads(THREADS)
    functions = {name: functools.partial(f, *unit_rows()) for name, f in SUMS.items()}
    seconds = take_turns(functions, SUMS_ROUNDS, time.process_time, warm_up=2)
    found = {"n": SUMS_N, "rounds": SUMS_ROUNDS}
    for name, own in seconds.items():
        ratios = [first / second for first, second in zip(seconds["plain torch"], own)]
        found[name] = {
            "mib": round(fresh(peak_mib, name)),
            "ms": round(1e3 * statistics.median(own)),
            "faster": [round(f(ratios), 2) for f in (min, statistics.median, max)],
        }
    return found


@command("loss_ladder.py", "Measure the losses, and write loss_ladder.json.", {})
def main():
    rows = {name: {} for name in LOSSES}
    for _ in range(ROUNDS):  # the losses take turns, so that other load on the machine slows all
        for name, loss in LOSSES.items():
            for what in ("loss", "with gradient"):
                seconds, mib = fresh(measure, loss, N, D, REPEATS, 0, what == "with gradient")
                ms = round(1000 * min(seconds))
                most, least = rows[name].get(what, [0, ms])
                rows[name][what] = [max(round(mib), most), min(ms, least)]
    found = machine(torch.device("cpu")) | {
        "n": N,
        "d": D,
        "threads": THREADS,
        "rounds": ROUNDS,
        "repeats": REPEATS,
        "rows": rows,
        "sums": measure_sums(),
    }
    FILE.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
