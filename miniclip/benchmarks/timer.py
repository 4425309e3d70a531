"""Time several functions turn by turn in one process, and compare them with the first.

Whatever else the machine does then meets all of them. A ratio is taken within one round; what is
printed is the median of the rounds and the range from the lowest to the highest.
"""

import gc
import statistics
import time

from kernels.table import Table


def take_turns(functions, rounds, clock=time.perf_counter, check=None, warm_up=1):
    """{name: [seconds of each round]}. functions: {name: f()}, called one after the other.

    warm_up more rounds come first and are not counted. clock: a function that returns seconds.
    check: called after each round with {name: what f returned}. Python's garbage collector runs
    between the calls, because in which of them it would run is chance.
    """
    seconds = {name: [] for name in functions}
    for _ in range(rounds + warm_up):
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
    return {name: own[warm_up:] for name, own in seconds.items()}


def compare(head, unit, convert, measurements):
    """A table with a row for each function of each measurement: its median and range, and the ratio
    to the first function, which is ours.

    measurements: (what, result of take_turns) one after the other, `head` their column's name;
    convert: seconds -> the unit.
    """
    table = Table(head, "library", unit, "lowest to highest", "miniclip is faster by", "")
    for what, seconds in measurements:
        first = next(iter(seconds.values()))
        for name, own in seconds.items():
            ratios = [theirs / ours for ours, theirs in zip(first, own)]
            faster = [] if own is first else spread(ratios, ".2f")
            table.add(what, name, *spread([convert(s) for s in own], ",.0f"), *faster)
    return table


def spread(values, form):
    """The median of some numbers, and the text "lowest to highest", in this format."""
    low, middle, high = (format(f(values), form) for f in (min, statistics.median, max))
    return middle, f"{low} to {high}"
