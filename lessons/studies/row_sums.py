"""Times and memory of the sums of lesson 07 on a CPU, in row_sums.json beside this file:

    OMP_NUM_THREADS=1 python lessons/studies/row_sums.py

Sums of the exponentials of N x N similarities, over rows and over columns, in float32: in plain torch,
by torch.compile, and by kernels/reference.py, which holds a chunk of rows at a time. They take turns
in one process, on one thread, and the clock counts processor time, so that other work on the machine
matters less. Memory is of one call in a process of its own. Left out: GPUs.
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
from kernels.bench.cpu import fresh, timed
from miniclip.benchmarks.timer import take_turns
from miniclip.common import machine

N, D, ROUNDS = 8192, 512, 7
SCALE_LOG2, SHIFT = torch.tensor(20.0), torch.tensor(0.0)


def features():
    """Two tensors of N unit rows."""
    drawn = torch.randn(2, N, D, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.normalize(drawn, dim=2)


def plain(x, y):
    """Row sums and column sums as one would write them."""
    e = (SCALE_LOG2 * (x @ y.T) - SHIFT).exp2()
    return e.sum(1), e.sum(0)


def chunks(x, y):
    """The library's; no column matches a row, so that none is left out."""
    chunk = reference.default_chunk(len(y), x.dtype)
    return reference.sums(x, y, SCALE_LOG2, SHIFT, len(y), chunk)


FUNCTIONS = {"plain torch": plain, "torch.compile": torch.compile(plain), "chunks of rows": chunks}


def peak_mib(name):
    """MiB that a call holds at its peak, above what the process held with its inputs."""
    torch.set_num_threads(1)
    x, y = features()
    for rows in (64, 128):  # libraries load, and torch compiles for one size and then for any
        FUNCTIONS[name](x[:rows], y[:rows])
    return timed(lambda: FUNCTIONS[name](x, y), 1, time.process_time)[1]


def main():
    torch.set_num_threads(1)
    functions = {name: functools.partial(f, *features()) for name, f in FUNCTIONS.items()}
    seconds = take_turns(functions, ROUNDS, time.process_time, warm_up=2)
    found = {"machine": machine(torch.device("cpu")), "rounds": ROUNDS, "n": N, "d": D}
    for name, own in seconds.items():
        ratios = [ours / theirs for ours, theirs in zip(seconds["plain torch"], own)]
        found[name] = {
            "mib": round(fresh(peak_mib, name)),
            "ms": round(1e3 * statistics.median(own)),
            "faster": [round(f(ratios), 2) for f in (min, statistics.median, max)],
        }
    Path(__file__).with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
