"""Time several functions turn by turn in one process, and compare them with the first.

Because they take turns, other work on the machine slows all of them alike. A ratio compares two
times of the same round. The table shows the median of the rounds, and the range from the lowest to
the highest.
"""

import gc
import statistics
import timeit
from collections.abc import Callable, Iterable

from kernels.table import table
from miniclip.common import number

COUNT = number(int, low=1, high=10**6)
ROUNDS = {"--rounds": dict(type=COUNT, default=5, help="how often each is timed (5)")}


def take_turns(
    functions: dict[str, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = timeit.default_timer,
    warm_up: int = 1,
) -> dict[str, list[float]]:
    """{name: [seconds of each round]}. functions: {name: f()}, called one after the other.

    warm_up more rounds come first and are not counted. clock: a function that returns seconds.
    Python's garbage collector runs between the calls. During a call it would slow that call by
    chance, so timeit turns it off.
    """
    seconds = {name: [] for name in functions}
    for _ in range(rounds + warm_up):
        for name, function in functions.items():
            gc.collect()
            seconds[name].append(timeit.timeit(function, timer=clock, number=1))
    return {name: own[warm_up:] for name, own in seconds.items()}


def compare(
    head: str,
    unit: str,
    convert: Callable[[float], float],
    measurements: Iterable[tuple[str, dict[str, list[float]]]],
) -> str:
    """A table with a row for each function of each measurement: its median and range, and the ratio
    to the first function, which is ours.

    measurements: pairs of what was measured, for the first column, and the result of take_turns;
    head: the title of the first column; convert: seconds -> the unit.
    """
    rows = []
    for what, seconds in measurements:
        first = next(iter(seconds.values()))
        for name, own in seconds.items():
            ratios = [theirs / ours for ours, theirs in zip(first, own)]
            faster = [] if own is first else spread(ratios, ".2f")
            rows.append((what, name, *spread([convert(s) for s in own], ",.0f"), *faster))
    columns = head, "library", unit, "lowest to highest", "miniclip is faster by", ""
    return table(columns, rows)


def spread(values: list[float], form: str) -> tuple[str, str]:
    """The median of numbers, and the text "lowest to highest", both in a format such as ".2f"."""
    low, middle, high = (format(f(values), form) for f in (min, statistics.median, max))
    return middle, f"{low} to {high}"
