"""The study of scaling and robustness: it resumes, keeps its file whole, and fits power laws."""

import json
import os

import numpy as np
import pytest

from miniclip.cost.flop import flop_per_pair
from miniclip.data.icons import render
from miniclip.data.icons.dataset import TEST, Icons
from miniclip.evaluation import scaling
from miniclip.evaluation.confidence import share
from miniclip.evaluation.report.scaling import power_law
from miniclip.model.clip import MODELS
from miniclip.training import checkpoint
from tests.evaluation.fake_icons import NAMES, drawn

PARTS = scaling.plan(TEST)
RUNS = list(dict.fromkeys(run for runs in PARTS.values() for run in runs))


@pytest.fixture
def icons(monkeypatch):
    """Icons whose drawings train.py sees as well."""
    found = drawn()
    monkeypatch.setattr(render, "pictures", lambda: found)
    return Icons(drawn=found)


@pytest.fixture
def trained(monkeypatch):
    """The runs that were trained, in order; an exception in `trained.stop_at` ends the process."""

    class Trained(list):
        stop_at = None

    runs = Trained()

    def record(run, *_):
        if len(runs) == runs.stop_at:
            raise KeyboardInterrupt
        runs.append(run)
        return numbers(run)

    monkeypatch.setattr(scaling, "train_contrastive", record)
    monkeypatch.setattr(scaling, "train_supervised", record)
    return runs


def numbers(run):
    """Made-up numbers of a run; accuracies of supervised towers lie on the line y = x / 2."""
    size = list(scaling.STEP_S).index(run.model) + 1 if run.model else 0
    at_home = share(10 * size + 10, 100)
    tests = {"home": at_home, "heldout_site": share(5 * size + 5, 100)}
    if run.objective != scaling.CONTRASTIVE:
        return tests | {"classes": 50, "seconds": 1.0}
    better = {"home": at_home, "heldout_site": share(60, 100)}
    unseen = [site for site in scaling.HOMES if run.sites and site not in run.sites]
    pictures = run.pairs or 24_000
    return {
        "sites": len(run.sites or range(12)),
        "pictures": pictures,
        "Tflop": 5.0 * 4**size,
        "top-1": share(20 + size, 100),
        "top-5": share(40 + size, 100),
        "classes": 50,
        "named": 40,
        "homes": {site: {"zero-shot": better, "labels": tests} for site in unseen},
        "seconds": 2.0,
    }


def test_finished_runs_are_skipped(trained, icons, tmp_path, capsys):
    path = tmp_path / "results/runs.jsonl"
    trained.stop_at = 3
    with pytest.raises(KeyboardInterrupt):
        scaling.study(RUNS, icons, path, tmp_path)
    assert len(scaling.finished(path)) == 3
    assert f"run 4 of {len(RUNS)}: {RUNS[3]} | ETA" in capsys.readouterr().out
    trained.stop_at = None
    scaling.study(RUNS, icons, path, tmp_path)
    assert trained == RUNS and len(scaling.finished(path)) == len(RUNS)
    scaling.study(RUNS, icons, path, tmp_path)
    assert len(trained) == len(RUNS)


def test_a_run_with_other_settings_is_done_again(trained, icons, tmp_path, monkeypatch):
    path = tmp_path / "runs.jsonl"
    scaling.study(RUNS[:1], icons, path, tmp_path)
    longer = RUNS[0]._replace(steps=RUNS[0].steps + 1)
    scaling.study([longer], icons, path, tmp_path)
    monkeypatch.setitem(MODELS, RUNS[0].model, MODELS[RUNS[0].model] | {"image_size": 48})
    scaling.study(RUNS[:1], icons, path, tmp_path)
    monkeypatch.setitem(scaling.HOMES, "remix", ("fill", "line"))
    scaling.study(RUNS[:1], icons, path, tmp_path)
    assert trained == [RUNS[0], longer, RUNS[0], RUNS[0]]


def test_a_run_killed_while_its_line_is_written_leaves_the_file_whole(tmp_path, monkeypatch):
    path = tmp_path / "runs.jsonl"
    scaling.add(path, {"run": 1})

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "fsync", killed)
        scaling.add(path, {"run": 2})
    assert scaling.finished(path) == [{"run": 1}]
    scaling.add(path, {"run": 3})
    assert scaling.finished(path) == [{"run": 1}, {"run": 3}]


def test_the_fit_recovers_a_planted_law_and_its_residuals():
    x = np.array([4.0, 15.0, 34.0, 76.0])
    basis = np.stack([np.ones(4), np.log(x)], 1)
    residuals = np.array([0.02, -0.03, 0.01, 0.005])
    residuals -= basis @ np.linalg.lstsq(basis, residuals, rcond=None)[0]  # what no law explains
    slope, scale, found = power_law(x, 0.9 * x**-0.3 * np.exp(residuals))
    assert slope == pytest.approx(-0.3) and scale == pytest.approx(0.9)
    np.testing.assert_allclose(found, residuals, atol=1e-12)


def test_the_four_sizes_double_in_compute_at_least():
    flop = [flop_per_pair(MODELS[name]) for name in scaling.STEP_S]
    for tower in ("image", "text"):
        sizes = [f[tower] for f in flop]
        assert all(b > 1.9 * a for a, b in zip(sizes, sizes[1:])), (tower, sizes)


def test_the_plan_holds_one_thing_fixed_at_a_time():
    model, pictures, sites = (PARTS[part] for part in ("model", "pictures", "sites"))
    assert len({run._replace(model=None) for run in model}) == 1 and len(model) == 4
    assert len({run._replace(pairs=None) for run in pictures}) == 1 and len(pictures) == 4
    assert len({run._replace(sites=None) for run in sites}) == 1 and len(sites) == 4
    (unseen,) = PARTS["without the homes"]
    assert not {*unseen.sites} & {*scaling.HOMES, *TEST}
    assert sum(run.expected_s for run in RUNS) < 75 * 60


def test_the_report_has_a_caption_for_each_figure_and_planted_robustness(trained, icons, tmp_path):
    path = tmp_path / "runs.jsonl"
    scaling.study(RUNS, icons, path, tmp_path)
    assert scaling.main(["--figures", "--results", str(tmp_path)]) == 0
    report = (tmp_path / "report.md").read_text()
    figures = sorted(figure.name for figure in tmp_path.glob("*.png"))
    assert len(figures) == 1 + 2 * len(scaling.HOMES)
    for figure in figures:
        caption = report.split(f"({figure})\n\n")[1].split("\n")[0]
        assert len(caption) > 80, figure
    effective = {}
    for row in report.splitlines():
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if len(cells) == 8 and cells[0] in ("zero-shot", "rn_icons_s, labels"):
            effective.setdefault(cells[0], []).append(float(cells[-1]))
    assert len(effective["zero-shot"]) == len(scaling.HOMES)
    assert min(effective["zero-shot"]) > 0.3, effective
    assert max(map(abs, effective["rn_icons_s, labels"])) < 0.02, effective


def test_figures_without_all_runs_are_refused(trained, icons, tmp_path, capsys):
    scaling.study(RUNS[:-2], icons, tmp_path / "runs.jsonl", tmp_path)
    with pytest.raises(SystemExit):
        scaling.main(["--figures", "--results", str(tmp_path)])
    assert "lacks 2 runs" in capsys.readouterr().err


@pytest.mark.slow
def test_a_contrastive_run_is_trained_by_train_py_and_tested_where_it_saw_nothing(
    icons, tmp_path, capsys
):
    sites = ("google", "lucide", "material")
    run = scaling.Run(scaling.CONTRASTIVE, "rn_icons_xs", 2, pairs=6, sites=sites)
    found = scaling.train_contrastive(run, icons, tmp_path / "run", 1)
    assert checkpoint.load(tmp_path / "run/checkpoint.pt")["step"] == 2
    assert found["homes"].keys() == {"fluent", "remix"}  # of HOMES google was trained on
    assert found["classes"] == len(NAMES) and found["top-1"]["n"] == 2 * len(NAMES)
    assert 0 < found["named"] <= 6 and found["pictures"] == 6 and found["sites"] == 3
    flop = flop_per_pair(MODELS["rn_icons_xs"])
    assert found["Tflop"] == pytest.approx(2 * 6 * (flop["forward"] + flop["backward"]) / 1e12)
    steps = (tmp_path / "run/log.jsonl").read_text()
    again = scaling.train_contrastive(run, icons, tmp_path / "run", 1)  # killed before its line
    assert again == found and (tmp_path / "run/log.jsonl").read_text() == steps


@pytest.mark.slow
def test_the_whole_study_with_one_step_a_run(icons, tmp_path, monkeypatch):
    monkeypatch.setattr(scaling, "PICTURES", (10, 20, 40))
    monkeypatch.setattr(scaling, "OF_PICTURES", 20)
    options = ["--steps", "1", "--threads", "1", "--out", str(tmp_path / "runs")]
    assert scaling.main([*options, "--results", str(tmp_path / "results")]) == 0
    lines = scaling.finished(tmp_path / "results/runs.jsonl")
    runs = {run for runs in scaling.plan(TEST, 1).values() for run in runs}
    assert len(lines) == len(runs) and all(line["run"]["steps"] <= 1 for line in lines)
    assert json.dumps(lines).count("zero-shot") >= len(scaling.HOMES)
    assert (tmp_path / "results/report.md").exists()
