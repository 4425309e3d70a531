"""What the compiler makes of every kernel, and what that should cost: `python -m kernels.report`.

No GPU is needed. The command compiles every kernel of signatures.KERNELS for every card of
compiler.SHARED_BYTES, and prints registers, stack, shared memory, tensor-core instructions and blocks
per SM. Then it prints flop, bytes, scratch, floor and predicted time over N. With --check it exits
with 1 when a number breaks one of the bars of `broken`. Left out: measured times (python -m
kernels.bench, on a GPU).
"""

import argparse
import concurrent.futures
import os
import signal
import sys

if __name__ == "__main__":
    # before triton is imported: interpreted kernels do not compile
    os.environ["TRITON_INTERPRET"] = "0"
    for name in {"SIGINT", "SIGPIPE"} & {*dir(signal)}:  # ends quietly: Ctrl-C, `... | head`
        signal.signal(getattr(signal, name), signal.SIG_DFL)

from kernels.fused.signatures import KERNELS, TILED, variant  # noqa: E402
from kernels.report.compiler import SHARED_BYTES, compiled, read  # noqa: E402
from kernels.report.roofline import CARDS, PRODUCT_SHARE, cost, floor_s, predicted_s  # noqa: E402
from kernels.table import Table  # noqa: E402

# registers that leave room for two blocks an SM (sums), or for a tile without spills (the others)
MOST_REGISTERS = {"sums": 128, "gradient": 184, "product": 184, "product transposed": 184}
DTYPES = ["fp16", "bf16", "fp32"]
WIDTHS = [512, 640, 768, 1024]
# the compiler's table: column -> key of a kernel's numbers
COLUMNS = {"kernel": "kernel", "sm": "arch", "dtype": "dtype", "D": "d", "registers": "registers",
           "stack": "stack_bytes", "spills": "local", "shared KiB": "shared_kib", "wgmma": "wgmma",
           "mma": "mma", "tcgen05": "tcgen05", "exp2": "exp2", "blocks/SM": "blocks_per_sm",
           "limited by": "limit", "": "verdict"}  # fmt: skip


def inspect(job: tuple[str, int, str, int]) -> dict:
    """The numbers of one kernel: job = (name, arch, dtype, d) -> dict, with what made them."""
    name, arch, dtype, d = job
    kernel, types, constants = variant(name, arch, dtype, d)
    found = read(compiled(kernel, arch, types, constants), arch)
    return dict(found, kernel=name, arch=arch, dtype=dtype, d=d)


def broken(r: dict) -> list[str]:
    """Sentences on what is wrong with one kernel's numbers; none when all is well."""
    arch, most_shared = r["arch"], SHARED_BYTES[r["arch"]][1]
    sums, blocks = r["kernel"] == "sums", r["blocks_per_sm"]
    tensor_cores = r["kernel"] in TILED and r["dtype"] != "fp32"
    hopper = tensor_cores and arch == 90
    unit = {90: "wgmma", 100: "tcgen05"}.get(arch, "mma")
    most = MOST_REGISTERS.get(r["kernel"], 255)
    spills = f"{r['stack_bytes']} bytes of stack, {r['local']} local loads and stores"
    shared = f"{r['shared_bytes']} bytes of shared memory, {most_shared} allowed"
    bars = [  # (whether it is a bar for this kernel, whether it is broken, the sentence)
        (True, r["stack_bytes"] or r["local"], spills),
        (True, r["shared_bytes"] > most_shared, shared),
        (tensor_cores, not r[unit], f"no {unit}"),
        (tensor_cores and unit != "mma", r["mma"], f"{r['mma']} mma beside {unit}"),
        (tensor_cores and unit == "mma", not r["wide"], "no loads of 16 bytes"),
        (tensor_cores, r["narrow"], f"{r['narrow']} loads and stores of 2 bytes"),
        (hopper, r["registers"] > most, f"{r['registers']} registers, {most} allowed"),
        (hopper and sums, blocks < 2, f"{blocks} block per SM, 2 needed"),
    ]
    return [sentence for applies, is_broken, sentence in bars if applies and is_broken]


def compile_all(
    archs: list[int], dtypes: list[str], widths: list[int] | None, workers: int
) -> list[dict]:
    """Numbers of every kernel on every card and dtype.

    widths: None for all of WIDTHS. Cards with sm_80's tiles are then compiled for two of them only,
    to save a minute.
    """
    jobs = [
        (name, arch, dtype, d)
        for arch in archs
        for dtype in dtypes
        for d in widths or (WIDTHS if arch in (80, 90, 100) else WIDTHS[:2])
        for name in KERNELS
    ]
    rows = []
    with concurrent.futures.ProcessPoolExecutor(workers) as pool:
        for row in pool.map(inspect, jobs, chunksize=4):
            rows.append(row)
            print(f"\r{len(rows)}/{len(jobs)} kernels compiled", end="", file=sys.stderr)
    print("\r" + " " * 40 + "\r", end="", file=sys.stderr)
    return rows


def compiler_table(rows: list[dict]) -> Table:
    """One line per kernel."""
    table = Table(*COLUMNS)
    for r in rows:
        kib, verdict = f"{r['shared_bytes'] / 1024:.0f}", "BROKEN" if broken(r) else "ok"
        table.add(*map(dict(r, shared_kib=kib, verdict=verdict).get, COLUMNS.values()))
    return table


def roofline_table(card: str, sizes: list[int], d: int) -> Table:
    """Cost, floor and prediction over N on one card."""
    amounts = "Tflop", "GB moved", "scratch MiB", "one logits copy MiB"
    table = Table("N", *amounts, "chunk", "floor ms", "predicted ms", "of the floor")
    for n in sizes:
        need, least, total = cost(n, d), floor_s(card, n, d), predicted_s(card, n, d)["total"]
        large = f"{need['flop'] / 1e12:.2f}", f"{need['bytes'] / 1e9:.2f}"
        mebibytes = (f"{need[key] / 2**20:.0f}" for key in ("scratch_bytes", "logits_bytes"))
        times = f"{least * 1e3:.3f}", f"{total * 1e3:.3f}", f"{least / total:.0%}"
        table.add(n, *large, *mebibytes, need["chunk"], *times)
    return table


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m kernels.report", description=(__doc__ or "").split("\n")[0]
    )
    parser.print_usage = lambda *_: None  # a mistake is one sentence
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar is broken")
    parser.add_argument(
        "--arch", type=int, nargs="+", choices=SHARED_BYTES, default=[*SHARED_BYTES]
    )
    parser.add_argument("--dtype", nargs="+", choices=DTYPES, default=DTYPES)
    parser.add_argument("--dim", type=int, nargs="+", help="widths (512 to 1024)")
    parser.add_argument("--sizes", type=int, nargs="+", default=[8192, 32768, 131072, 262144])
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="compiling processes")
    options = parser.parse_args(argv)
    dims = options.dim or WIDTHS
    most = ((dims, 2048), (options.sizes, 10**9), ([options.workers], 1024))
    if any(min(numbers) < 1 or max(numbers) > high for numbers, high in most):
        parser.error("--dim must be 1 to 2048, --sizes 1 to 10**9 and --workers 1 to 1024")
    rows = compile_all(options.arch, options.dtype, options.dim, options.workers)
    print(compiler_table(rows), end="\n\n")
    for card in CARDS:
        print(
            f"{card}, 16-bit operands, D = {dims[0]}, forward + backward; predicted, not measured,\n"
            f"with products at {PRODUCT_SHARE:.0%} of the card's measured speed"
        )
        print(roofline_table(card, options.sizes, dims[0]), end="\n\n")
    failures = [(r, why) for r in rows for why in broken(r)]
    for r, why in failures:
        print(f"broken: {r['kernel']} on sm_{r['arch']}, {r['dtype']}, D = {r['d']}: {why}")
    print(f"{len(rows)} kernels, {len(failures)} broken bars")
    return 1 if options.check and failures else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the processes that compile
    try:
        code = main()
        sys.stdout.flush()
    except OSError as error:  # a full disk, or nobody reads
        print(f"python -m kernels.report: error: the output: {error.strerror}", file=sys.stderr)
        code = 2
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
