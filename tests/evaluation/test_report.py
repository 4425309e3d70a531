"""Each section of the report measures what it says: numbers that are counted by hand."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from miniclip.evaluation import ensembles, linear_probe, robustness
from miniclip.evaluation.confidence import share
from miniclip.evaluation.ensembles import GENERIC
from miniclip.evaluation.report import writer
from miniclip.evaluation.report.writer import Report
from tests.evaluation.fakes import Features, context_of, directed, labelled
from tests.shared import must_refuse


def test_a_table_is_aligned_in_the_terminal_and_markdown_in_the_file(tmp_path, capsys):
    report = Report(tmp_path / "new", "test")
    report.table(("name", "a", "b|c"), [("x\x1b", 0.12345, None), ("longer", 7, "te\nxt")])
    report.figure("a.b.png", "What it shows.", lambda size, path: path.write_text("x" * size), 9)
    assert not list(tmp_path.rglob("*.png")), (
        "a report that is stopped leaves the earlier one whole"
    )
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert shown[2:] == [["x\\x1b", "0.123", "-"], ["longer", "7", "te", "xt"]]
    report.write()
    written = (tmp_path / "new/report.md").read_text().splitlines()
    assert written[2:5] == ["| name | a | b\\|c |", "|---|---:|---:|", "| x\x1b | 0.123 | - |"]
    assert written[7:10] == ["![a](a.b.png)", "", "What it shows."]
    assert (tmp_path / "new/a.b.png").read_text() == "x" * 9
    must_refuse("not a figure", report.figure, "a.b.png", "Somebody else's file.", None)
    Report(tmp_path / "new", "again")  # replaces its own
    (tmp_path / "new/report.md").write_text("notes of three weeks")
    must_refuse("report.md was not written by this command", Report, tmp_path / "new", "again")


def test_a_title_that_is_not_utf_8_is_written(tmp_path):
    Report(tmp_path, "on p\udcfd.csv").write()
    assert b"on p\\udcfd.csv" in (tmp_path / "report.md").read_bytes()


# zero-shot


def test_zero_shot_compares_prompts(report):
    """The bare names point 40 degrees off, so that 2 of 4 are right; the templates do not."""
    home = labelled([0, 0, 1, 2], [5, 25, 42, 78])
    own = "the {}"
    texts = directed("abc", [40, 80, 120], "{}") | directed("abc", [0, 40, 80], own, GENERIC)
    context = context_of(report, Features(texts), labelled=home, templates=["{}", own])
    found = ensembles.write(context)
    accuracy = {name: s["accuracy"] for name, s in found.items() if isinstance(s, dict)}
    assert accuracy == {
        "bare name": 0.5,  # those at 5 and 25 degrees
        f"one template, {GENERIC!r}": 0.75,  # 25 is nearer to 40
        "its own template, 'the {}'": 0.75,
        "ensemble of 2 templates": 0.75,  # 20, 60 and 100 degrees: all but 42
    }
    assert found["classes"] == 3


# probes, shifts


@pytest.fixture
def context(report):
    """What probes found at home and under a shift."""
    ours = {1: {"home": [0.25, 0.35], "away": [0.2, 0.4]}, 2: {"home": [0.6, 0.8], "away": [0.5]}}
    raw = {1: {"home": [0.2, 0.2], "away": [0.1]}, 2: {"home": [0.4, 0.4], "away": [0.2]}}
    full = {"this model": {"home": 0.9, "away": 0.7}, "raw pixels": {"home": 0.6, "away": 0.3}}
    home = labelled([0], [0], names="abcd")
    context = context_of(report, labelled=home, shifts={"away": None})
    context.classes_and_shots = [0, 2], [1, 2]
    context.zero_shot = {"home": share(10, 20), "away": share(8, 16)}
    context.probes = {
        name: {"full": full[name], "curve": curve}
        for name, curve in (("this model", ours), ("raw pixels", raw))
    }
    return context


def test_probes_say_what_they_leave_out_and_what_zero_shot_is_worth(report, context):
    found = linear_probe.write(context)
    assert "left out: b, d." in report.said()
    assert "| this model, 1 shots | 0.300 | 0.25 to 0.35 | 20 |" in report.said()
    assert found["shots_worth"] == pytest.approx(2**0.5)  # .5 is half way from .3 to .7
    assert found["probes"]["raw pixels"]["mean"] == pytest.approx({1: 0.2, 2: 0.4})
    context.zero_shot["home"] = share(19, 20)
    assert linear_probe.write(context)["shots_worth"] is None
    assert "more than were tried" in report.captions["shots.png"]


def test_shifts_compare_with_the_line_through_the_baselines(report, context):
    found = robustness.write(context)
    points = {"zero-shot": (0.5, 0.5), "1 shots": (0.3, 0.3), "2 shots": (0.7, 0.5)}
    points["all"] = 0.9, 0.7
    assert found["points"] == {name: pytest.approx(p) for name, p in points.items()}
    effective = {
        name: robustness.effective_robustness(*p, found["baseline"]) for name, p in points.items()
    }
    assert found["effective_robustness"] == pytest.approx(effective)
    (families, line), _ = report.drawn["shift.png"]
    assert len(families["probes on raw pixels"]) == 3 and line == found["baseline"]
    context.probes["raw pixels"] = {"full": {"home": 0.5, "away": 0.5}, "curve": {}}
    must_refuse("two models", robustness.write, context)


def test_without_a_shift_there_is_nothing_to_measure(report, context):
    context.shifts = {}
    assert robustness.write(context) == {} and "No shift" in report.said()


def test_a_shift_of_too_few_pictures_is_told_from_none(report, context):
    context.zero_shot = {"home": None}
    must_refuse("enough", robustness.write, context)


def test_two_commands_at_once_lose_no_section_of_each_other(tmp_path, monkeypatch):
    read, about = writer.earlier_results, {"model": "m", "command": "c", "commands": {}}
    monkeypatch.setattr(writer, "earlier_results", lambda out: (read(out), time.sleep(0.2))[0])
    with ThreadPoolExecutor() as pool:
        pool.map(lambda k: writer.write_results(tmp_path, about | {k: 1}), ("probe", "shift"))
    assert {"probe", "shift"} <= read(tmp_path).keys()
