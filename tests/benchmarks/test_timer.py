"""The shared timer: turn by turn, the warm-up left out, medians and ranges."""

import gc
import itertools

import pytest

from miniclip.benchmarks import __main__ as command
from miniclip.benchmarks import towers
from miniclip.benchmarks.timer import compare, take_turns


def test_a_round_times_the_functions_in_turn_and_the_warm_up_is_left_out():
    order, checked, clock = [], [], itertools.count()
    functions = {name: lambda name=name: order.append(name) or len(order) for name in "ab"}
    now = dict(clock=lambda: next(clock) ** 2, check=lambda found: checked.append(dict(found)))
    seconds = take_turns(functions, 2, **now)
    assert "".join(order) == "ababab"
    assert seconds == {"a": [5**2 - 4**2, 9**2 - 8**2], "b": [7**2 - 6**2, 11**2 - 10**2]}
    assert checked == [{"a": 1, "b": 2}, {"a": 3, "b": 4}, {"a": 5, "b": 6}]


def test_the_garbage_collector_runs_between_the_calls_only():
    enabled = []
    take_turns({"a": gc.isenabled}, 1, check=lambda results: enabled.append(results["a"]))
    assert enabled == [False, False] and gc.isenabled()


def test_the_ratio_is_taken_within_a_round():
    seconds = {"ours": [1.0, 2.0, 4.0], "theirs": [3.0, 4.0, 4.0]}
    table = compare("what", "ms", lambda s: 1000 * s, [("one", seconds)])
    ours, theirs = (row[1:] for row in table.rows[1:])
    assert ours == ["ours", "2,000", "1,000 to 4,000", "", ""]
    assert theirs == ["theirs", "4,000", "3,000 to 4,000", "2.00", "1.00 to 3.00"]


def test_the_command_passes_what_follows_to_the_benchmark_that_is_named(monkeypatch):
    monkeypatch.setattr(towers, "main", lambda argv: argv)
    assert command.main(["towers", "--rounds", "1", "-h"]) == ["--rounds", "1", "-h"]
    with pytest.raises(SystemExit) as stopped:
        command.main(["loss"])
    assert stopped.value.code == 2
