"""The race of objectives: what is compared with what, and how the comparison is made."""

from types import SimpleNamespace

import numpy as np
import pytest
import race
from hypothesis import given
from hypothesis import strategies as st

PAIRS = [100.0, 200.0, 400.0, 800.0]


@pytest.mark.parametrize(
    "part, may_differ",
    [
        ("race", {"objective", "lr"}),
        ("projection", {"projection"}),
        ("temperature", {"temperature"}),
        ("batch", {"batch_size", "steps", "lr"}),
        ("lead", {"objective", "batch_size", "steps", "lr"}),
        ("cap", {"pairs"}),
    ],
)
def test_entries_differ_in_one_thing_and_have_equally_many_pairs(part, may_differ):
    first, *others = race.plan(SimpleNamespace(ablation=part, quick=None, figures=True)).values()
    for entry in others:
        assert len(entry) == len(first)
        for ours, theirs in zip(first, entry):
            differ = {k for k in {**ours, **theirs} if ours.get(k) != theirs.get(k)}
            assert differ and differ <= may_differ
            assert ours["steps"] * ours["batch_size"] == theirs["steps"] * theirs["batch_size"]


@given(slope=st.floats(0.02, 0.3), times=st.floats(1, 8))
def test_a_curve_moved_to_fewer_pairs_needs_that_many_times_fewer(slope, times):
    base, better = (0.1 + slope * np.log(np.array(PAIRS) * k / 100) for k in (1, times))
    assert race.times_fewer(PAIRS, better, base) == pytest.approx(times, rel=1e-9)
    assert race.times_fewer(PAIRS, base, better) == pytest.approx(1 / times, rel=1e-9)


@pytest.mark.slow
@given(st.integers(0, 2**32 - 1))
def test_the_difference_lies_in_its_interval_and_changes_its_sign_with_the_order(seed):
    rng = np.random.default_rng(seed)
    a, b = (rng.random((3, 40)) < share for share in (0.7, 0.4))
    ours, theirs = race.difference(a, b), race.difference(b, a)
    assert ours["low"] <= ours["value"] <= ours["high"], ours
    assert ours["value"] == pytest.approx(a.mean() - b.mean()) == -theirs["value"]
    assert theirs["low"] == pytest.approx(-ours["high"], abs=0.03)
    assert race.difference(a, a) == {"value": 0, "low": 0, "high": 0}


def test_the_interval_is_that_of_independent_pictures():
    """With one seed the standard error of the mean is known."""
    gain = np.arange(400)[None] % 4 == 0
    found = race.difference(gain, np.zeros_like(gain))
    half = 1.96 * np.sqrt(0.25 * 0.75 / 400)
    assert found["high"] - found["low"] == pytest.approx(2 * half, rel=0.1)


def test_what_is_done_once_does_not_count_as_time_of_a_pair():
    """1.5 ms per pair, beside 9 s of setting up."""
    points = {n: [(None, {"cpu_s": 9 + n * 1.5e-3})] * 3 for n in (100, 200, 400)}
    assert race.ms_per_pair(points) == pytest.approx(1.5)
