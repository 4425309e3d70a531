"""What the compiler makes of every kernel, and what a step should cost: `python -m kernels.report`.

No GPU is needed. The command compiles every kernel of signatures.KERNELS for every card of
compiler.LIMITS, and prints registers, stack, shared memory, tensor-core instructions and blocks per
SM. Then it prints each launch of a step and its predicted time (kernels/plan.py). With --plan it
prints the launches only, for the cards of --arch. With --check it exits with 1 if a number breaks
one of the bars, which are the limits in `broken` and `broken_plan`.
Left out: measured times (python -m kernels.bench, on a GPU).
"""

import importlib.util
import itertools
import os
import signal
import sys
from concurrent.futures.process import BrokenProcessPool

if __name__ == "__main__":
    # before triton is imported: interpreted kernels do not compile
    os.environ["TRITON_INTERPRET"] = "0"
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C during the imports ends it quietly

if not importlib.util.find_spec("triton"):
    print(
        "python -m kernels.report: error: this needs Triton, which pip has for Linux only",
        file=sys.stderr,
    )
    sys.exit(2)

from triton import knobs  # noqa: E402

from kernels.fused.signatures import HOPPER, KERNELS, TILED  # noqa: E402
from kernels.fused.tile_config import warps_can_differ  # noqa: E402
from kernels.plan import CARDS, by_kernel, floor_s, plan, spread, total_s  # noqa: E402
from kernels.report.compiler import LIMITS, inspect  # noqa: E402
from kernels.table import table  # noqa: E402
from miniclip.common import Parser, command, in_words, refuse  # noqa: E402
from miniclip.distributed.process_group import in_processes  # noqa: E402

DTYPES = ["fp16", "bf16"]
WIDTHS = [512, 256, 640, 768, 1024]
SIZES = [8192, 32768, 131072, 262144]
MANY = dict(nargs="+", action="extend")
OPTIONS = {
    "--plan": dict(action="store_true", help="print the launches of a step"),
    "--check": dict(action="store_true", help="exit with 1 when a bar is broken"),
    "--arch": dict(type=int, choices=LIMITS, help="(all)", **MANY),
    "--dtype": dict(choices=DTYPES, help="(fp16 and bf16; fp16 for the launches)", **MANY),
    "--dim": dict(type=int, help="widths (256 to 1024; 512 for the launches)", **MANY),
    "--sizes": dict(type=int, help="batch sizes N of the launches (8192 to 262144)", **MANY),
}
LEAST_FILL = 0.85  # the share of an H100 that our own kernels must fill
SHARDS = [  # (N, rows of a rank), at which --check tests the bars
    *((n, n) for n in (8192, 16384, 32768, 65536, 131072, 262144)),
    *((32768, m) for m in (512, 1024, 2048, 4096)),
]
# the compiler's table: column -> key of a kernel's numbers
COLUMNS = {"kernel": "kernel", "sm": "arch", "dtype": "dtype", "D": "d", "registers": "registers",
           "stack": "stack_bytes", "spills": "local", "shared KiB": "shared_kib", "wgmma": "wgmma",
           "mma": "mma", "tcgen05": "tcgen05", "exp2": "exp2", "blocks/SM": "blocks_per_sm",
           "limited by": "limit", "": "verdict"}  # fmt: skip


def broken(r: dict) -> list[str]:
    """Sentences on what is wrong with one kernel's numbers; none when all is well."""
    arch, most_shared = r["arch"], LIMITS[r["arch"]][1]
    tensor_cores = r["kernel"] in TILED
    unit = {90: "wgmma", 100: "tcgen05"}.get(arch, "mma")
    bars = {  # {sentence: whether the bar is broken}
        f"{r['stack_bytes']} bytes of stack, {r['local']} local loads and stores": (
            r["stack_bytes"] or r["local"]
        ),
        f"{r['shared_bytes']} bytes of shared memory, {most_shared} allowed": (
            r["shared_bytes"] > most_shared
        ),
        f"no {unit}": tensor_cores and not r[unit],
        f"{r['mma']} mma beside {unit}": tensor_cores and unit != "mma" and r["mma"],
        "no loads of 16 bytes": tensor_cores and unit == "mma" and not r["wide"],
        f"{r['narrow']} loads and stores of 2 bytes": tensor_cores and r["narrow"],
    }
    return [sentence for sentence, is_broken in bars.items() if is_broken]


def compile_all(archs: list[int], dtypes: list[str], widths: list[int] | None) -> list[dict]:
    """Numbers of every kernel on every card and dtype, computed by one process per core.

    widths: None for all of WIDTHS. sm_86, sm_89 and sm_120 are then compiled for the first two
    only, to save a minute.
    """
    jobs = [
        (name, arch, dtype, d)
        for arch in archs
        for dtype in dtypes
        for d in widths or (WIDTHS if arch in (80, 90, 100) else WIDTHS[:2])
        for name in KERNELS
        if warps_can_differ(arch, 2, d) or name not in HOPPER
    ]
    print(f"compiling {len(jobs)} kernels ...", file=sys.stderr)
    with in_words(
        "a process that compiles was killed, perhaps because memory was full; free some memory, "
        "or compile fewer kernels with --arch, --dtype and --dim",
        BrokenProcessPool,
    ):
        return in_processes(inspect, jobs, chunksize=4)


def compiler_table(rows: list[dict]) -> str:
    """One line per kernel."""
    shown = [
        r
        | {"shared_kib": f"{r['shared_bytes'] / 1024:.0f}"}
        | {"verdict": "BROKEN" if broken(r) else "ok"}
        for r in rows
    ]
    return table(COLUMNS, ([r[key] for key in COLUMNS.values()] for r in shown))


def broken_plan(launches: list[dict]) -> list[str]:
    """Sentences on what is wrong with a plan for an H100; none when all is well."""
    bars = {}  # {sentence: whether the bar is broken}
    for name, group in by_kernel(launches).items():
        if group["cycles"]:
            slowest, fill = max(group["cycles"], key=group["cycles"].get), group["fill"]
            bars |= {
                f"{name}: {slowest} takes longer than the tensor cores": slowest != "tensor",
                f"{name} fills {fill:.0%} of the card, {LEAST_FILL:.0%} needed": fill < LEAST_FILL,
            }
    return [sentence for sentence, is_broken in bars.items() if is_broken]


def plan_table(card: str, n: int, d: int, dtype: str) -> str:
    """One line per kernel: all its launches in a step, and the cycles of one tile."""
    units, rows = ["tensor", "exp2", "shuffle", "issue"], []
    for name, group in by_kernel(plan(card, n, d, dtype=dtype)).items():
        grid = [group[key] for key in ("launches", "programs", "blocks_per_sm", "waves")]
        fill = "" if group["fill"] is None else f"{group['fill']:.2f}"
        moved = [f"{group[key] / 1e9:.2f}" for key in ("memory_bytes", "l2_bytes")]
        cycles = [f"{group['cycles'][unit]:.0f}" if group["cycles"] else "" for unit in units]
        rows.append([name, *grid, fill, *moved, *cycles, spread(group["seconds"])])
    head = "kernel", "launches", "programs", "blocks/SM", "waves", "fill", "GB memory", "GB L2"
    return table([*head, *units, "ms"], rows)


def summary(card: str, n: int, d: int, dtype: str) -> str:
    """The whole step's predicted range beside the floor, a sentence. The cards' measured speed is
    that of fp16 products, and is taken for bf16 as well."""
    total, floor = total_s(plan(card, n, d, dtype=dtype)), floor_s(card, n, d)
    worst, middle, best = floor / total[1], 2 * floor / sum(total), floor / total[0]
    return (
        f"{card}, N = {n}, D = {d}, {dtype}, forward + backward; predicted, not measured: "
        f"{spread(total)} ms,\n"
        f"{worst:.0%} to {best:.0%} of the floor of {floor * 1e3:.1f} ms, {middle:.0%} in the middle"
    )


@command("python -m kernels.report")
def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    what = (__doc__ or "").split("\n")[0]
    options = Parser.of("python -m kernels.report", what, OPTIONS).parse_args(argv)
    for name in ("arch", "dtype", "dim", "sizes"):  # each value once
        setattr(options, name, [*dict.fromkeys(getattr(options, name) or ())])
    dtypes, dims, rows = options.dtype or DTYPES, options.dim or WIDTHS, []
    sizes, check, arch = options.sizes or SIZES, options.check, options.arch or [*LIMITS]
    cards = [name for name, card in CARDS.items() if card["arch"] in arch]
    mistakes = {
        "--dim must be 1 to 2048": not 1 <= min(dims) <= max(dims) <= 2048,
        "--sizes must be 1 to 10**7": not 1 <= min(sizes) <= max(sizes) <= 10**7,
        # possible if another command started this one
        "nothing compiles under TRITON_INTERPRET; unset it": knobs.runtime.interpret,
        f"--plan needs --arch {' or '.join(str(card['arch']) for card in CARDS.values())}: the "
        f"speeds of other cards than {' and '.join(CARDS)} are not known": (
            options.plan and not cards
        ),
        "--sizes has no effect on --check, which has its own sizes; leave out --sizes, or add "
        "--plan": options.sizes and check and not options.plan,
    }
    refuse(mistakes)
    if check or not options.plan:
        rows = compile_all(arch, dtypes, options.dim)
        print(compiler_table(rows), end="\n\n")
    one = options.dim or dims[:1], options.dtype or dtypes[:1]
    for shape in itertools.product(cards, sizes, *one) if options.plan or not check else ():
        print(summary(*shape), plan_table(*shape), sep="\n", end="\n\n")
    failures = [
        f"{r['kernel']} on sm_{r['arch']}, {r['dtype']}, D = {r['d']}: {why}"
        for r in rows
        for why in broken(r)
    ]
    shards = SHARDS if check and 90 in arch else ()
    for form, d, (n, m) in itertools.product(dtypes, dims, shards):
        what = f"the plan for an H100, {form}, D = {d}, N = {n}, {m} rows"
        failures += [f"{what}: {why}" for why in broken_plan(plan("H100", n, d, m, form))]
    for failure in failures:
        print(f"broken: {failure}")
    print(f"{len(rows)} kernels, {len(failures)} broken bars")
    return 1 if check and failures else 0


if __name__ == "__main__":
    sys.exit(main())
