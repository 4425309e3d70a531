"""What Triton makes of lesson 07's product kernel, for a card that need not be there (lesson 10b).

The kernel is compiled in a process of its own, because nothing compiles in a process that has
chosen Triton's interpreter. With Triton 3.9, for a tile of 128 x 128 and 8 warps, a thread takes
106 registers on sm_90 and 146 on sm_80. After the loop it executes 4 shuffles for sums of rows, and
192 for sums of columns.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import triton
import triton.language as tl

ROOT = Path(__file__).parents[2]


@triton.jit
def product_kernel(
    X, Y, OUT, M, N, D, SUMS: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr
):
    r = tl.program_id(0) * BM + tl.arange(0, BM)
    c = tl.program_id(1) * BN + tl.arange(0, BN)
    tile = tl.zeros((BM, BN), tl.float32)
    for k in range(0, D, BK):
        d = k + tl.arange(0, BK)
        x_mask, y_mask = (r < M)[:, None] & (d < D)[None, :], (c < N)[:, None] & (d < D)[None, :]
        x = tl.load(X + r[:, None] * D + d[None, :], mask=x_mask, other=0.0)
        y = tl.load(Y + c[:, None] * D + d[None, :], mask=y_mask, other=0.0)
        tile = tl.dot(x, tl.trans(y), tile, input_precision="ieee")
    if SUMS == "rows":
        tl.store(OUT + r, tl.sum(tile, 1), mask=r < M)
    elif SUMS == "columns":
        tl.store(OUT + c, tl.sum(tile, 0), mask=c < N)
    else:
        tl.store(OUT + r[:, None] * N + c[None, :], tile, mask=(r < M)[:, None] & (c < N)[None, :])


def report(arch, side, warps, sums="none"):
    """What the compiler says about one job, as a dict (kernels/report/compiler.py:read)."""
    from kernels.report.compiler import read

    types = dict(X="*fp16", Y="*fp16", OUT="*fp32", M="i32", N="i32", D="i32")
    constants = dict(SUMS=sums, BM=side, BN=side, BK=64, num_warps=warps, num_stages=3)
    return read(product_kernel, arch, types, constants)


def ask_compiler(jobs):
    """[dict of numbers], one for each job. A job is (arch, side of the tile, warps) or has a fourth
    item, what is summed: "rows" or "columns"."""
    environment = dict(os.environ, TRITON_INTERPRET="0", PYTHONPATH=str(ROOT))
    command = [sys.executable, __file__, json.dumps(jobs)]
    return json.loads(subprocess.check_output(command, env=environment))


if __name__ == "__main__":
    print(json.dumps([report(*job) for job in json.loads(sys.argv[1])]))
