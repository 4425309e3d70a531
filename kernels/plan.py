"""Every launch of one step of the loss: its programs, waves, bytes, cycles and predicted time.

A grid runs in waves: as many programs as the card holds at once, then as many again. `fill` is the
share of the places in these waves that have a program.

Each kernel computes tiles. The products of a tile and its loads from L2 run at the same time, so
the longer of the two counts. Then comes the tile's epilogue: exponentials, shuffles and all other
instructions after the last product. If a second block shares the SM, or if warps have different
work, the epilogue of one tile runs beside the products of another. The counts of instructions come
from the compiled code (report/compiler.py).

Nothing here is measured. Each time is a range: it is computed with the better and with the worse of
the efficiencies below. They were fixed before any measurement, and only a measurement may change
them. Left out: gaps between launches. docs/kernels.md explains the terms.
"""

from collections.abc import Callable

from kernels.cards import GPUS
from kernels.fused.signatures import constants
from kernels.fused.tile_config import default_chunk, strip_rows, warps_can_differ
from kernels.reference import PRECISIONS
from kernels.report.compiler import inspect

CARDS = {name: GPUS[name.lower()] for name in ("H100", "A100")}  # those with measured speeds
# (better, worse): how fast our own tile loops and a library are, as shares of a large product's
# speed
OWN_LOOP, LIBRARY = (0.75, 0.65), (1.0, 0.90)
EXP2_A_CLOCK, SHUFFLES_A_CLOCK, WARPS_A_CLOCK = 16, 32, 4  # of an SM


def floor_s(card: str, n: int, d: int) -> float:
    """The least seconds of any implementation with four products, on one card."""
    features = 2 * n * d * 4 * 3  # read twice, written once
    return max(8 * n * n * d / CARDS[card]["flop_per_s"], features / CARDS[card]["bytes_per_s"])


def tiled(card, name, m, n, k, shape, code, memory_bytes):
    """One launch of a tile kernel, whose result is (m, n) and whose products are over k.

    shape: a dict with BM, BN and STRIP; code: what compiler.read says about the kernel.
    """
    sms, tile = card["sms"], shape["BM"] * shape["BN"]
    strip, blocks, epilogue = shape.get("STRIP", 1), code["blocks_per_sm"], code["epilogue"]
    programs = -(-m // (shape["BM"] * strip)) * -(-n // shape["BN"])
    waves = -(-programs // (sms * blocks))
    # per tile: flop, bytes from L2, and the clocks of each unit
    flop, l2_bytes = 2 * tile * k, 2 * (shape["BM"] + shape["BN"]) * k
    cycles = {
        "tensor": flop / card["flop_a_clock"],
        "exp2": epilogue["exp2"] * code["warps"] * 32 / EXP2_A_CLOCK,
        "shuffle": epilogue["shuffles"] * code["warps"] * 32 / SHUFFLES_A_CLOCK,
        "issue": epilogue["instructions"] * code["warps"] / WARPS_A_CLOCK,
    }
    after = max(cycles[unit] for unit in cycles if unit != "tensor") / card["clock_hz"]
    seconds = []
    for share, l2 in zip(OWN_LOOP, card["l2_bytes_per_s"]):
        loop = sms * max(flop / (card["flop_per_s"] * share), l2_bytes / l2)
        one = max(loop, after) if blocks > 1 or code["warps_differ"] else loop + after
        whole = waves * blocks * min(strip, -(-m // shape["BM"])) * one
        seconds.append(max(whole, memory_bytes / card["bytes_per_s"]))
    return dict(
        kernel=name,
        programs=programs,
        blocks_per_sm=blocks,
        waves=waves,
        fill=programs / (waves * sms * blocks),
        cycles=cycles,
        memory_bytes=memory_bytes,
        l2_bytes=l2_bytes * m * n / tile,
        seconds=tuple(seconds),
    )


def few_tiles(card, name, count, k, shape, code):
    """One launch for a few separate tiles, `count` of them, one per program."""
    one = tiled(card, name, count * shape["BM"], shape["BN"], k, shape | {"STRIP": 1}, code, 0)
    return dict(
        kernel=name,
        memory_bytes=count * shape["BM"] * shape["BN"] * 2,
        l2_bytes=one["l2_bytes"],
        seconds=one["seconds"],
    )


def launched(card, name, memory_bytes, flop=0):
    """One launch of the library's product, or of a kernel that does little more than move bytes."""
    least = memory_bytes / card["bytes_per_s"]
    seconds = tuple(max(flop / (card["flop_per_s"] * share), least) for share in LIBRARY)
    return dict(kernel=name, memory_bytes=memory_bytes, seconds=seconds)


def plan(
    card: str,
    n: int,
    d: int,
    m: int | None = None,
    dtype: str = "fp16",
    code: Callable[[str], dict] | None = None,
) -> list[dict]:
    """All launches of our own kernels and of products in one step, forward and backward, in order.

    m: this rank's rows (None: all n). code: kernel name -> what compiler.read returns; None
    compiles the kernels here. Each launch is a dict with "kernel", "memory_bytes" and "seconds"
    (better, worse). For a tile kernel it also has "programs", "blocks_per_sm", "waves", "fill",
    "l2_bytes" and the "cycles" of a tile.
    """
    m, arch, card = m or n, CARDS[card]["arch"], CARDS[card]
    code = code or (lambda name: inspect((name, arch, dtype, d)))
    operands, differ = PRECISIONS[dtype], warps_can_differ(arch, 2, d)
    gradient = "wide gradient" if differ else "gradient"
    shape = {
        name: constants(name, arch, operands, d)
        for name in ("sums", "tall sums", gradient, "special tiles")
    }
    chunk, sums, tall = default_chunk(n, operands), shape["sums"], shape["tall sums"]
    launches = [
        *(launched(card, "normalize", rows * d * 6) for rows in (m, n)),
        launched(card, "diagonal", m * d * 4),
    ]
    blocks = n // sums["BN"] if differ else 0
    whole = blocks * sums["BN"]
    for start in range(0, m, 16 * chunk):
        c = min(16 * chunk, m - start)
        if blocks:
            strip = strip_rows(c, blocks, tall["BM"], card["sms"])
            by_row, by_column = 4 * c * blocks, 2 * tall["BM"] * whole * -(-c // strip)
            memory_bytes = 2 * (c + n) * d + by_row + by_column
            tall = tall | {"STRIP": strip // tall["BM"]}
            launches += [
                tiled(card, "tall sums", c, whole, d, tall, code("tall sums"), memory_bytes),
                launched(card, "partial sums", by_column),
                few_tiles(card, "sums of matches", blocks, d, sums, code("sums")),
            ]
        if whole < n:
            by_column = 4 * (n - whole) * -(-c // (sums["BM"] * sums["STRIP"]))
            memory_bytes = 2 * (c + n - whole) * d + 4 * c * -(-n // sums["BN"]) + by_column
            launches += [
                tiled(card, "sums", c, n - whole, d, sums, code("sums"), memory_bytes),
                launched(card, "partial sums", by_column),
            ]
        launches.append(launched(card, "partial sums", 4 * c * -(-n // sums["BN"])))
    launches += [
        launched(card, name, rows * bytes_of_a_row)
        for name, bytes_of_a_row in (("rescue of no row", 9), ("finish", 33))
        for rows in (m, n)
    ]
    for start in range(0, m, chunk):
        c = min(chunk, m - start)
        g_bytes, added, flop = 2 * c * n, 4 * n * d * (1 + (start > 0)), 2 * c * n * d
        # one tile with a match in each row block at least, and the last tile of each row block if n
        # is not a multiple of BN
        apart = shape["special tiles"]
        special = -(-c // apart["BM"]) * (1 + (n % apart["BN"] > 0))
        launches += [
            tiled(card, gradient, c, n, d, shape[gradient], code(gradient), g_bytes + 2 * n * d),
            few_tiles(card, "special tiles", special, d, apart, code("special tiles")),
            launched(card, "product", g_bytes + 2 * n * d + 4 * c * d, flop),
            launched(card, "product transposed", g_bytes + 2 * c * d + added, flop),
        ]
    return [*launches, *(launched(card, "normalize backward", rows * d * 10) for rows in (m, n))]


def by_kernel(launches: list[dict]) -> dict[str, dict]:
    """The launches grouped by kernel: {kernel: dict}.

    A kernel's dict starts as the dict of its first launch. It gets "launches", the number of the
    kernel's launches, and the bytes, the seconds and the fill of all these launches together.
    """
    together = {}
    for name in dict.fromkeys(launch["kernel"] for launch in launches):
        group = [launch for launch in launches if launch["kernel"] == name]
        first = dict.fromkeys(("programs", "blocks_per_sm", "waves", "cycles"), None) | group[0]
        places = sum(x["programs"] / x["fill"] for x in group if "fill" in x)
        together[name] = first | dict(
            launches=len(group),
            fill=sum(x.get("programs", 0) for x in group) / places if places else None,
            seconds=total_s(group),
            memory_bytes=sum(x["memory_bytes"] for x in group),
            l2_bytes=sum(x.get("l2_bytes", 0) for x in group),
        )
    return together


def total_s(launches: list[dict]) -> tuple[float, float]:
    """The predicted seconds of these launches, (better, worse)."""
    return tuple(map(sum, zip(*(launch["seconds"] for launch in launches))))


def spread(seconds: tuple[float, float]) -> str:
    """A range of times in ms with two digits, "7.2 to 8.5"."""
    return " to ".join(f"{float(f'{s * 1e3:.2g}'):g}" for s in seconds)
