"""A study keeps what has ended, trains only what is missing, and finds what is committed."""

import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import harness
import pytest
import race
import sealed
import words

from tests.shared import ROOT

PARTS = [*((race, part) for part in race.TITLES), (words, "."), (sealed, ".")]


def toy(tmp_path, monkeypatch, work, trainings):
    """A study whose report is the list `study.told`; its processes are copies of this one."""
    monkeypatch.setattr(harness, "START", "fork")
    study = SimpleNamespace(__file__="toy.py", __doc__="A toy.", RESULTS="none", OPTIONS={})
    study.plan = lambda args: {"first": trainings[:2], "all": trainings}
    study.settings, study.work, study.told = dict, work, []
    study.write_report = lambda found, args: study.told.append(found)
    results = [f"--results={tmp_path}"]
    study.run = lambda more: harness.run(
        study, [*results * ("--results" not in more), "--out", str(tmp_path / "out"), *more]
    )
    return study


def test_what_has_ended_is_kept_and_only_the_rest_is_trained(tmp_path, monkeypatch, refused):
    def work(training, folder):
        with open(tmp_path / "calls", "a") as file:
            print(training["steps"], file=file)
        assert training["steps"] != 3 or (tmp_path / "mended").exists()
        return {"twice": 2 * training["steps"]}

    def calls():
        return (tmp_path / "calls").read_text().split()

    study = toy(tmp_path, monkeypatch, work, [{"steps": n} for n in (1, 2, 3, 4)])
    assert "a training stopped; its log is" in refused(study.run, "--jobs", "1")
    assert calls() == ["1", "2", "3"] and len(harness.finished(tmp_path / "runs.jsonl")) == 2
    assert "lacks 2 of 4" in refused(study.run, "--figures")
    (tmp_path / "mended").touch()
    study.run(["--jobs", "1"])
    study.run(["--figures"])
    assert calls() == ["1", "2", "3", "3", "4"]
    found = [({"steps": n}, {"twice": 2 * n}) for n in (1, 2, 3, 4)]
    assert study.told == [{"first": found[:2], "all": found}] * 2
    study.settings = lambda training: {**training, "rate": 0.1}
    study.run(["--jobs", "1"])
    assert len(calls()) == 9, "with other settings each training is another one"


def test_a_file_of_runs_that_cannot_be_used_is_refused_before_the_first_training(
    tmp_path, monkeypatch, refused
):
    study = toy(tmp_path, monkeypatch, None, [{"steps": 1}])
    (tmp_path / "runs.jsonl").write_text('{"run": {"steps": 1}, "fou')
    assert "runs.jsonl cannot be read as a file of runs" in refused(study.run)
    assert "a part of this path is a file" in refused(
        study.run, "--results", tmp_path / "runs.jsonl"
    )


def test_trainings_run_side_by_side_and_those_of_one_seed_first(tmp_path, monkeypatch):
    def work(training, folder):
        """Ends when three trainings have begun; a fourth has not begun by then."""
        (tmp_path / f"{training['seed']} {training['steps']}").touch()
        began = time.monotonic()
        while len(list(tmp_path.glob("[01] *"))) < 3 and time.monotonic() < began + 60:
            time.sleep(0.01)
        return {"begun": sorted(path.name for path in tmp_path.glob("[01] *"))}

    trainings = [{"steps": n, "seed": seed} for n in (1, 2, 3) for seed in (0, 1)]
    study = toy(tmp_path, monkeypatch, work, trainings)
    study.run(["--jobs", "3"])
    (_, found), *_ = study.told[0]["all"]
    assert found["begun"][:3] == ["0 1", "0 2", "0 3"]


@pytest.mark.parametrize("study, part", PARTS, ids=lambda x: getattr(x, "__name__", x))
def test_the_committed_trainings_give_the_committed_report(study, part, tmp_path):
    committed = ROOT / study.RESULTS
    shutil.copy(committed / "runs.jsonl", tmp_path)
    options = ["--ablation", part] if study is race and part != "race" else []
    harness.run(study, ["--figures", "--results", str(tmp_path), *options])
    for old in (committed / part).glob("*.*"):
        new = tmp_path / part / old.name
        assert new.exists(), old
        assert old.suffix != ".md" or new.read_text() == old.read_text(), old


@pytest.mark.slow
def test_a_stopped_study_stops_its_trainings(tmp_path):
    script = f"""
import sys, time, types
sys.path[:0] = [{str(ROOT / "lessons/studies")!r}]
import harness
toy = types.SimpleNamespace(__file__="toy.py", __doc__="", RESULTS="none", OPTIONS={{}}, settings=dict)
toy.write_report = print
toy.plan = lambda args: {{"all": [{{"steps": 1}}, {{"steps": 2}}]}}
def work(training, folder):
    if training["steps"] == 2:
        open({str(tmp_path / "begun")!r}, "w").close()
        time.sleep(60)
    return {{}}
toy.work = work
harness.START = "fork"
harness.run(toy, ["--results", {str(tmp_path)!r}, "--out", {str(tmp_path)!r}, "--jobs", "1"])
"""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        while not (tmp_path / "begun").exists():  # one training has ended, another has begun
            time.sleep(0.01)
        time.sleep(1)  # a signal that comes while Python forks is lost
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM
    assert len(harness.finished(tmp_path / "runs.jsonl")) == 1
