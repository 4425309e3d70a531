"""Scaling: one thing grows at a time, and a power law is fitted to the errors."""

from types import SimpleNamespace

import numpy as np
import pytest
import scaling

from miniclip.cost.flop import flop_per_pair
from miniclip.data.icons import render
from miniclip.model.clip import MODELS
from tests.evaluation.fake_icons import NAMES, drawn

ARGS = SimpleNamespace(quick=None, held_out_sites="fontawesome")


def test_the_fit_recovers_a_planted_law_and_its_residuals():
    x = np.array([4.0, 15.0, 34.0, 76.0])
    basis = np.stack([np.ones(4), np.log(x)], 1)
    residuals = np.array([0.02, -0.03, 0.01, 0.005])
    residuals -= basis @ np.linalg.lstsq(basis, residuals, rcond=None)[0]  # what no law explains
    slope, scale, found = scaling.power_law(x, 0.9 * x**-0.3 * np.exp(residuals))
    assert slope == pytest.approx(-0.3) and scale == pytest.approx(0.9)
    np.testing.assert_allclose(found, residuals, atol=1e-12)


def test_the_plan_holds_one_thing_fixed_at_a_time():
    grows = {"Tflop": "model", "pictures": "pairs", "sites": "sites"}
    for part, trainings in scaling.plan(ARGS).items():
        values = [str(training.pop(grows[part], None)) for training in trainings]
        assert len({*values}) == len(values) == 4, part
        assert all(training == trainings[0] for training in trainings), part


@pytest.mark.slow
def test_a_training_is_tested_where_it_saw_nothing_and_is_not_repeated(monkeypatch, tmp_path):
    drawings = drawn()
    monkeypatch.setattr(render, "pictures", lambda: drawings)
    given = scaling.training(
        ARGS, "rn_icons_xs", pairs=6, sites=("google", "lucide", "material")
    ) | {"steps": 2}
    found = scaling.work(given, tmp_path)
    assert found["homes"].keys() == {"fluent", "remix"}  # of HOMES google was trained on
    assert found["classes"] == len(NAMES) and found["top-1"]["n"] == 2 * len(NAMES)
    assert 0 < found["named"] <= 6 and found["pictures"] == 6 and found["sites"] == 3
    flop = flop_per_pair(MODELS["rn_icons_xs"])
    assert found["Tflop"] == pytest.approx(2 * 6 * (flop["forward"] + flop["backward"]) / 1e12)
    log = (tmp_path / "log.jsonl").read_text()
    again = scaling.work(given, tmp_path)  # it was killed before its line was written
    assert again == found and (tmp_path / "log.jsonl").read_text() == log
