"""The report of the race: how curves are compared, and what each part shows."""

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miniclip.evaluation.report import plots
from miniclip.evaluation.report import race as report
from miniclip.objectives import OBJECTIVES, race

PAIRS = [100.0, 200.0, 400.0, 800.0]
LAW = settings(derandomize=True, max_examples=30, deadline=None)


def straight(pairs, slope, shift=1.0):
    """An accuracy that is a straight line over the logarithm of pairs."""
    return [0.1 + slope * np.log(n * shift / 100) for n in pairs]


@LAW
@given(slope=st.floats(0.02, 0.3), pairs=st.floats(100, 800))
def test_a_straight_curve_reaches_each_of_its_values_where_it_has_it(slope, pairs):
    (target,) = straight([pairs], slope)
    found = report.reached(PAIRS, straight(PAIRS, slope), target)
    assert found == pytest.approx(pairs, rel=1e-9)


def test_a_curve_does_not_reach_what_is_above_it():
    assert report.reached(PAIRS, [0.1, 0.3, 0.2, 0.25], 0.31) is None
    assert report.reached(PAIRS, [0.1, 0.3, 0.2, 0.25], 0.3) == 200  # the first time


@LAW
@given(slope=st.floats(0.02, 0.3), times=st.floats(1, 8))
def test_a_curve_moved_to_fewer_pairs_needs_that_many_times_fewer(slope, times):
    base, better = straight(PAIRS, slope), straight(PAIRS, slope, times)
    assert report.times_fewer(PAIRS, better, base) == pytest.approx(times, rel=1e-9)
    assert report.times_fewer(PAIRS, base, better) == pytest.approx(1 / times, rel=1e-9)


@LAW
@given(st.integers(0, 2**32 - 1))
def test_the_difference_lies_in_its_interval_and_changes_its_sign_with_the_order(seed):
    rng = np.random.default_rng(seed)
    a, b = (rng.random((3, 40)) < share for share in (0.7, 0.4))
    ours, theirs = report.difference(a, b), report.difference(b, a)
    assert ours["low"] <= ours["value"] <= ours["high"], ours
    assert ours["value"] == pytest.approx(a.mean() - b.mean())
    assert theirs["value"] == -ours["value"] and theirs["low"] == pytest.approx(
        -ours["high"], abs=0.03
    )
    assert report.difference(a, a) == {"value": 0, "low": 0, "high": 0}


def test_the_interval_is_that_of_independent_pictures():
    """With one seed the standard error of the mean is known."""
    gain = np.arange(400)[None] % 4 == 0
    found = report.difference(gain, np.zeros_like(gain))
    half = 1.96 * np.sqrt(0.25 * 0.75 / 400)
    assert found["high"] - found["low"] == pytest.approx(2 * half, rel=0.1)


def run(seed, steps, share, cpu_s=None, size=256, pictures=40):
    """A training whose first `share` of pictures is named rightly."""
    right = "".join("01"[k < round(share * pictures)] for k in range(pictures))
    centred = right[::-1].replace("1", "0", 1)  # one fewer
    known = [11 if k < pictures // 2 else 10 for k in range(pictures)]
    found = {"cpu_s": cpu_s, "race": {"right": right, "centred": centred, "known": known}}
    found["all names"] = found["race"]
    return {"seed": seed, "steps": steps, "batch_size": size}, found


def planted(factor, ms=1.0):
    """Runs of three seeds: accuracy factor x .1, .2, .3, .4; `ms` a pair beside 9 s of setting up."""
    return [
        run(seed, steps, factor * share, 9 + steps * 256 * ms / 1e3)
        for seed in range(3)
        for steps, share in zip((100, 200, 400, 800), (0.1, 0.2, 0.3, 0.4))
    ]


def test_time_a_pair_leaves_out_what_is_done_once():
    points = report.by_points(planted(1, 0.7))
    assert [*points] == [25_600, 51_200, 102_400, 204_800]
    for lengths in (4, 3, 2):
        some = dict([*points.items()][-lengths:])
        assert report.ms_a_pair(some) == pytest.approx(0.7)
    points[204_800][1][1]["cpu_s"] = None
    assert report.ms_a_pair(points) is None


def test_the_report_of_the_race(tmp_path):
    found = {name: planted(1.0) for name in OBJECTIVES} | {"contrastive": planted(2.0, 1.5)}
    report.write_report("race", found, tmp_path)
    results = json.loads((tmp_path / "results.json").read_text())
    ours, base = results["contrastive"], results["bag_of_words"]
    assert ours["against bag of words"]["value"] == pytest.approx(0.4)
    # .2, .4: the accuracy that the other has after 204,800 pairs is reached after 51,200
    assert ours["times fewer pairs"] == pytest.approx([4.0] * 3)
    assert ours["CPU time, bag of words = 1"] == pytest.approx(1.5)
    assert base["times fewer pairs"] == [1] * 3 and base["against bag of words"]["value"] == 0
    assert ours["top-1 of centred scores"] == pytest.approx([0.8 - 1 / 40] * 3)
    text = (tmp_path / "report.md").read_text()
    assert "| contrastive | 0.200 (0.200 to 0.200) | 0.400" in text and "+0.400" in text
    assert (tmp_path / "race.png").stat().st_size > 5_000


def test_the_report_of_an_ablation_is_against_its_first_entry(tmp_path):
    found = {
        name: [run(seed, 800, share) for seed in range(3)]
        for name, share in (("linear", 0.5), ("MLP", 0.75))
    }
    report.write_report("projection", found, tmp_path)
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["linear"]["top-1"]["against the first"]["value"] == 0
    assert results["MLP"]["top-1"]["against the first"]["value"] == pytest.approx(0.25)
    assert results["MLP"]["top-1"]["seeds"] == [0.75] * 3
    assert (tmp_path / "projection.png").exists()
    assert "+0.250" in (tmp_path / "report.md").read_text()


def test_the_cap_is_judged_by_names_that_all_trained_on(tmp_path):
    """Of 40 names two are lost by the cap, and of 10 others it takes pictures."""
    found = {
        name: [run(seed, 800, share) for seed in range(3)]
        for name, share in (("cap", 0.5), ("all pairs", 0.75))
    }
    for _, own in found["cap"]:
        known = own["all names"]["known"]
        own["all names"]["known"] = [0, *known[1:29], *(k - 1 for k in known[29:39]), 0]
    report.write_report("cap", found, tmp_path)
    more = json.loads((tmp_path / "results.json").read_text())["all pairs"]
    sizes = {"all names": 40, "names that all trained on": 38}
    sizes |= {"it took pictures of them": 10, "it took none": 28}
    assert {group: own["n"] for group, own in more.items()} == sizes
    # the first 30 of 40 are right
    assert more["all names"]["seeds"] == [0.75] * 3
    assert more["it took none"]["seeds"] == [1] * 3
    assert more["it took pictures of them"]["seeds"] == pytest.approx([0.1] * 3)
    # with the cap the first 20 are right
    assert more["it took none"]["against the first"]["value"] == pytest.approx(9 / 28)
    assert "it took none (n = 28)" in (tmp_path / "report.md").read_text()


def changed(first, other):
    """Options that differ, but for the seed."""
    both = {**first, **other}
    return {k for k in both if first.get(k) != other.get(k)} - {"seed"}


def test_the_plan_of_the_race_differs_in_the_objective_and_its_rate_only():
    entries = race.plan("race")
    assert entries.keys() == OBJECTIVES.keys()
    first = entries["contrastive"]
    for name, trainings in entries.items():
        assert len(trainings) == len(race.POINTS) * len(race.SEEDS)
        for ours, theirs in zip(first, trainings):
            assert changed(ours, theirs) <= {"objective", "lr"} and ours["seed"] == theirs["seed"]


@pytest.mark.parametrize(
    "part, may_change",
    [
        ("projection", {"projection"}),
        ("temperature", {"temperature"}),
        ("batch", {"batch_size", "steps", "lr"}),
        ("lead", {"objective", "batch_size", "steps", "lr"}),
        ("cap", {"pairs"}),
    ],
)
def test_the_plan_of_an_ablation_differs_in_one_thing(part, may_change):
    entries = race.plan(part)
    first, *_ = entries.values()
    for name, trainings in entries.items():
        assert [how["seed"] for how in trainings] == [*race.SEEDS]
        for ours, theirs in zip(first, trainings):
            assert changed(ours, theirs) <= may_change, (name, changed(ours, theirs))
    pairs = {how["steps"] * how["batch_size"] for runs in entries.values() for how in runs}
    assert len(pairs) == 1, f"{part} compares different numbers of pairs: {pairs}"


def test_a_batch_four_times_as_large_has_a_fourth_of_the_steps_and_twice_the_rate():
    small, large = (race.of_batch("sigmoid", n * race.BATCH, 100) for n in (1, 4))
    assert (small["steps"], large["steps"]) == (100, 25)
    assert large["lr"] == pytest.approx(2 * small["lr"]) and small["lr"] == race.rate("sigmoid")


def test_the_parts_take_at_most_as_long_as_promised():
    for part, minutes in (("race", 90), *((part, 45) for part in report.TITLES if part != "race")):
        trainings = [how for runs in race.plan(part).values() for how in runs]
        assert sum(map(race.expected_s, trainings)) / 2 < 60 * minutes, part


def test_the_figure_has_a_curve_for_each_objective_also_for_more_than_there_are(
    tmp_path, monkeypatch
):
    axes, shown = plots._axes, []

    @contextlib.contextmanager
    def noted(path):
        with axes(path) as axis:
            yield axis
            shown.extend(axis.get_legend_handles_labels()[1])

    monkeypatch.setattr(plots, "_axes", noted)
    curves = {f"objective {k}": np.full((4, 3), k / 20) for k in range(len(OBJECTIVES) + 10)}
    plots.draw_race(PAIRS, curves, tmp_path / "race.png")
    assert shown == [*curves], f"{len(shown)} of {len(curves)} objectives are in the figure"
