"""Time several functions turn by turn in one process, and compare them with the first.

Whatever else the machine does then meets all of them. A ratio is taken within one round; what is
printed is the median of the rounds and the range from the lowest to the highest.
"""

import gc
import statistics
import time

from kernels.table import Table


def take_turns(functions, rounds, clock=time.perf_counter, check=None):
    """{name: [seconds of each round]}. functions: {name: f()}, called one after the other.

    One more round, the first, warms up and is not counted. clock: a function that returns seconds.
    check: called after each round with {name: what f returned}. Python's garbage collector runs
    between the calls, because in which of them it would run is chance.
    """
    seconds = {name: [] for name in functions}
    for _ in range(rounds + 1):
        results = {}
        for name, function in functions.items():
            gc.collect()
            gc.disable()
            began = clock()
            results[name] = function()
            seconds[name].append(clock() - began)
            gc.enable()
        if check:
            check(results)
    return {name: own[1:] for name, own in seconds.items()}


def comparison(what, unit):
    """An empty table for the rows of `compare`."""
    ranged = "lowest to highest"
    return Table(what, "library", unit, ranged, "miniclip is faster by", ranged)


def compare(table, what, seconds, convert):
    """Add a row for each function of `take_turns`, ours first. convert: seconds -> the unit."""
    first = next(iter(seconds))
    for name, own in seconds.items():
        values = [convert(s) for s in own]
        cells = [f"{statistics.median(values):,.0f}", f"{min(values):,.0f} to {max(values):,.0f}"]
        if name != first:
            ratios = [theirs / ours for ours, theirs in zip(seconds[first], own)]
            cells.append(f"{statistics.median(ratios):.2f}")
            cells.append(f"{min(ratios):.2f} to {max(ratios):.2f}")
        table.add(what, name, *cells)
