"""Times and memory of the sums of lesson 07 on a CPU, in row_sums.json beside this file:

    OMP_NUM_THREADS=1 python lessons/studies/row_sums.py

Sums of the exponentials of N x N similarities, over rows and over columns, in float32: in plain torch,
by torch.compile, and by kernels/reference.py, which holds a chunk of rows at a time. They take turns
in one process, on one thread, and the clock counts processor time, so that other work on the machine
matters less. Memory is of one call in a process of its own. The interpreter's time is for the answer
to ex07_2 at a much smaller size. Left out: GPUs.
"""

import json
import multiprocessing
import os
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

os.environ["TRITON_INTERPRET"] = "1"
sys.path.insert(0, str(Path(__file__).parents[2]))  # the checkout

import torch

from kernels import reference
from kernels.bench.cpu import resident_peak_bytes
from miniclip.benchmarks.timer import take_turns
from miniclip.common import Parser, machine

N, D, SMALL, ROUNDS = 8192, 512, 256, 7
SCALE_LOG2, SHIFT = torch.tensor(20.0), torch.tensor(0.0)


def features(n):
    """Two tensors of n unit rows."""
    drawn = torch.randn(2, n, D, generator=torch.Generator().manual_seed(0))
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


def growth_mib(name):
    """MiB that a call holds at its peak, above what the process held with its inputs."""
    torch.set_num_threads(1)
    x, y = features(N)
    FUNCTIONS[name](x[:64], y[:64])  # libraries load, and torch compiles for this size
    if name == "torch.compile":
        FUNCTIONS[name](x, y)  # and for any other
    before = resident_peak_bytes(reset=True)
    FUNCTIONS[name](x, y)
    return (resident_peak_bytes() - before) / 2**20


def interpreted(x, y):
    """Row sums by the reader's kernel, in tiles of 64 x 64."""
    from tests.answers.ex07_2_row_sums import row_sums_kernel

    z, sizes = torch.empty(len(x)), dict(D=D, BM=64, BN=64, BK=64)
    row_sums_kernel[(len(x) // 64,)](x, y, SCALE_LOG2, SHIFT, z, len(x), len(y), **sizes)
    return z


def main():
    Parser.of("row_sums.py", "Times and memory of row and column sums.", {}).parse_args()
    torch.set_num_threads(1)
    x, y = features(N)
    true = torch.exp2(20 * x[:64].double() @ y.double().T).sum(1)
    found = {"machine": machine(torch.device("cpu")), "rounds": ROUNDS, "n": N, "d": D}

    def right(results):
        for z, _ in results.values():
            assert (z[:64] / true - 1).abs().max() < 1e-4

    for name in FUNCTIONS:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            found[name] = {"mib": round(pool.submit(growth_mib, name).result())}
    timed = {name: (lambda f=f: f(x, y)) for name, f in FUNCTIONS.items()}
    first = None
    for name, seconds in take_turns(timed, ROUNDS, time.process_time, right, warm_up=2).items():
        first = first or seconds
        ratios = [a / b for a, b in zip(first, seconds)]
        found[name]["ms"] = round(1e3 * statistics.median(seconds))
        found[name]["faster"] = [round(f(ratios), 2) for f in (min, statistics.median, max)]
    a, b = (v[:SMALL].contiguous() for v in (x, y))
    both = {"interpreter": lambda: interpreted(a, b), "plain torch": lambda: plain(a, b)}
    small = take_turns(both, ROUNDS, time.process_time)
    found["small"] = {"n": SMALL} | {
        k: round(1e3 * statistics.median(v), 1) for k, v in small.items()
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
