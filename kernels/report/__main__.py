"""What the compiler makes of every kernel, and what that should cost: `python -m kernels.report`.

No GPU needed. Compiles all shipped kernels for every card of compiler.SHARED_BYTES, prints registers,
stack, shared memory, tensor-core instructions and blocks per SM, then flop, bytes, scratch, floor and
predicted time over N. --check exits with 1 when one of the bars in `broken` is. Left out: measured
times (python -m kernels.bench, on a GPU).
"""

import argparse
import concurrent.futures
import os
import sys

if __name__ == "__main__":
    os.environ["TRITON_INTERPRET"] = (
        "0"  # before triton is imported: interpreted kernels do not compile
    )

from kernels.fused.signatures import BYTES, ROWWISE, TILED, variant  # noqa: E402
from kernels.report.compiler import SHARED_BYTES, compiled, read  # noqa: E402
from kernels.report.roofline import CARDS, PRODUCT_SHARE, cost, floor_s, predicted_s  # noqa: E402
from kernels.table import Table  # noqa: E402

# registers that still leave room for what the kernel is for: two blocks an SM, or no spills
MOST_REGISTERS = {"sums": 128, "gradient": 184, "product": 184, "product transposed": 184}


WIDTHS = [512, 640, 768, 1024]


def inspect(job):
    """The numbers of one kernel: job = (name, arch, dtype, d) -> dict, with what made them."""
    name, arch, dtype, d = job
    kernel, *how = variant(name, arch, dtype, d)
    found = read(compiled(kernel, arch, *how), arch)
    return dict(found, kernel=name, arch=arch, dtype=dtype, d=d)


def broken(r):
    """Sentences on what is wrong with one kernel's numbers; none when all is well."""
    wrong = []
    if r["stack_bytes"] or r["local"]:
        wrong.append(f"{r['stack_bytes']} bytes of stack, {r['local']} local loads and stores")
    most = SHARED_BYTES[r["arch"]][1]
    if r["shared_bytes"] > most:
        wrong.append(f"{r['shared_bytes']} bytes of shared memory, {most} allowed")
    if r["kernel"] in TILED and r["dtype"] != "fp32":
        unit = {90: "wgmma", 100: "tcgen05"}.get(r["arch"], "mma")
        if not r[unit]:
            wrong.append(f"no {unit}")
        if unit != "mma" and r["mma"]:
            wrong.append(f"{r['mma']} mma beside {unit}")
        if unit == "mma" and not r["wide"]:
            wrong.append("no loads of 16 bytes")
        if r["narrow"]:
            wrong.append(f"{r['narrow']} loads and stores of 2 bytes")
        if r["arch"] == 90:
            most = MOST_REGISTERS.get(r["kernel"], 255)
            if r["registers"] > most:
                wrong.append(f"{r['registers']} registers, {most} allowed")
            if r["kernel"] == "sums" and r["blocks_per_sm"] < 2:
                wrong.append(f"{r['blocks_per_sm']} block per SM, want 2")
    return wrong


def compile_all(archs, dtypes, widths, workers):
    """Numbers of every kernel on every card and dtype. widths: None for all of WIDTHS.

    Then cards that get sm_80's tiles are compiled for two widths only, to save a minute.
    """
    jobs = [
        (name, arch, dtype, d)
        for arch in archs
        for dtype in dtypes
        for d in widths or (WIDTHS if arch in (80, 90, 100) else WIDTHS[:2])
        for name in TILED + ROWWISE
    ]
    rows = []
    with concurrent.futures.ProcessPoolExecutor(workers) as pool:
        for row in pool.map(inspect, jobs, chunksize=4):
            rows.append(row)
            print(f"\r{len(rows)}/{len(jobs)} kernels compiled", end="", file=sys.stderr)
    print("\r" + " " * 40 + "\r", end="", file=sys.stderr)
    return rows


def compiler_table(rows):
    """One line a kernel."""
    table = Table("kernel", "sm", "dtype", "D", "registers", "stack", "spills", "shared KiB",
                  "wgmma", "mma", "tcgen05", "exp2", "blocks/SM", "limited by", "")  # fmt: skip
    for r in rows:
        table.add(r["kernel"], r["arch"], r["dtype"], r["d"], r["registers"], r["stack_bytes"],
                  r["local"], f"{r['shared_bytes'] / 1024:.0f}", r["wgmma"], r["mma"], r["tcgen05"],
                  r["exp2"], r["blocks_per_sm"], r["limit"],
                  "BROKEN" if broken(r) else "ok")  # fmt: skip
    return table


def roofline_table(card, sizes, d):
    """Cost, floor and prediction over N on one card."""
    table = Table("N", "Tflop", "GB moved", "scratch MiB", "one logits copy MiB", "chunk",
                  "floor ms", "predicted ms", "of the floor")  # fmt: skip
    for n in sizes:
        need, least = cost(n, d), floor_s(card, n, d)
        total = predicted_s(card, n, d)["total"]
        table.add(n, f"{need['flop'] / 1e12:.2f}", f"{need['bytes'] / 1e9:.2f}",
                  f"{need['scratch_bytes'] / 2**20:.0f}", f"{need['logits_bytes'] / 2**20:.0f}",
                  need["chunk"], f"{least * 1e3:.3f}", f"{total * 1e3:.3f}",
                  f"{least / total:.0%}")  # fmt: skip
    return table


def main(argv=None):
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m kernels.report", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar is broken")
    parser.add_argument(
        "--arch", type=int, nargs="+", choices=list(SHARED_BYTES), default=list(SHARED_BYTES)
    )
    parser.add_argument("--dtype", nargs="+", choices=list(BYTES), default=["fp16", "bf16", "fp32"])
    parser.add_argument("--dim", type=int, nargs="+", help="widths (512 to 1024)")
    parser.add_argument("--sizes", type=int, nargs="+", default=[8192, 32768, 131072, 262144])
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="compiling processes")
    options = parser.parse_args(argv)
    dims = options.dim or WIDTHS
    if min(*dims, *options.sizes, options.workers) < 1 or max(dims) > 2048:
        print("dim must be 1 to 2048, sizes and workers at least 1", file=sys.stderr)
        return 2
    rows = compile_all(options.arch, options.dtype, options.dim, options.workers)
    print(compiler_table(rows))
    for card in CARDS:
        print(f"\n{card}, 16-bit operands, D = {dims[0]}, forward + backward; predicted with")
        print(f"products at {PRODUCT_SHARE:.0%} of the card's own, not measured")
        print(roofline_table(card, options.sizes, dims[0]))
    failures = [(r, why) for r in rows for why in broken(r)]
    print()
    for r, why in failures:
        print(f"broken: {r['kernel']} on sm_{r['arch']}, {r['dtype']}, D = {r['d']}: {why}")
    print(f"{len(rows)} kernels, {len(failures)} broken bars")
    return 1 if options.check and failures else 0


if __name__ == "__main__":
    sys.exit(main())
