"""Scaling: one thing grows at a time, and a power law is fitted to the errors."""

from types import SimpleNamespace

import numpy as np
import pytest
import scaling

from miniclip.data.icons import icons
from tests.data.icons import small_pairs

ARGS = SimpleNamespace(quick=None)


def test_the_fit_recovers_a_planted_law_and_its_residuals():
    x = np.array([4.0, 15.0, 34.0, 76.0])
    basis = np.stack([np.ones(4), np.log(x)], 1)
    residuals = np.array([0.02, -0.03, 0.01, 0.005])
    residuals -= basis @ np.linalg.lstsq(basis, residuals, rcond=None)[0]  # what no law explains
    slope, scale, found = scaling.power_law(x, 0.9 * x**-0.3 * np.exp(residuals))
    assert slope == pytest.approx(-0.3) and scale == pytest.approx(0.9)
    np.testing.assert_allclose(found, residuals, atol=1e-12)


def test_the_plan_holds_one_thing_fixed_at_a_time_and_has_three_seeds_at_both_ends():
    for part, trainings in scaling.plan(ARGS).items():
        grows = {"Tflop": "model", "pictures": "pairs"}[part]
        values = [training.pop(grows) for training in trainings]
        ends = values[0], values[-1]
        assert [values.count(value) for value in dict.fromkeys(values)] == [3, 1, 1, 3], ends
        assert len({tuple((t | {"seed": 0}).items()) for t in trainings}) == 1


@pytest.mark.slow
def test_a_training_is_tested_on_families_and_is_not_repeated(monkeypatch, tmp_path):
    pairs = small_pairs()
    monkeypatch.setattr(icons, "pictures", lambda folder=None: (pairs.owned, pairs.inks))
    given = {"model": "rn_icons_xs", "pairs": 6, "steps": 2, "seed": 0}
    found = scaling.work(given, tmp_path)
    assert found["families"]["tabler"]["known"]["n"] and found["pictures"] == 6
    assert found["Tflop"] > 0
    log = (tmp_path / "log.jsonl").read_text()
    again = scaling.work(given, tmp_path)  # it was killed before its line was written
    assert again == found and (tmp_path / "log.jsonl").read_text() == log
    parts = {
        axis: [({}, found), ({}, found | {"pictures": 9, "Tflop": 9})]
        for axis in scaling.plan(ARGS)
    }
    scaling.write_report(parts, SimpleNamespace(results=tmp_path / "report"))
    assert (tmp_path / "report/scaling.png").is_file()
