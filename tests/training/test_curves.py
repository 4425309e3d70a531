"""The curves of a run: four panels of what the log holds, with chance beside the loss."""

import json
import math

import pytest

from miniclip import plots
from miniclip.training.curves import draw_curves

LINES = [
    dict(step=1, loss=5.0, accuracy=0.1, scale=14.0, lr=1e-4, batch_size=9),
    dict(step=10, loss=3.0, accuracy=0.5, lr=2e-3, batch_size=9),
    dict(step=20, loss=2.0, accuracy=0.75, scale=20.0, lr=1e-3, batch_size=100),
]


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """lines of a log -> the panels that draw_curves asks for."""
    panels = []
    monkeypatch.setattr(plots, "lines", lambda own, *more, **how: panels.append(own))

    def draw(lines):
        (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        draw_curves(tmp_path / "log.jsonl", tmp_path / "curves.png")
        return [curves for curves, _ in panels.pop()]

    return draw


def test_there_are_four_panels_of_the_numbers_by_step_and_a_hole_where_one_is_missing(drawn):
    for curves, key in zip(drawn(LINES), ("loss", "accuracy", "scale", "lr"), strict=True):
        x, y = curves["_"]
        assert x == [1, 10, 20]
        assert y == pytest.approx([line.get(key, math.nan) for line in LINES], nan_ok=True), key
        assert (len(curves) == 2) == (key == "loss"), "chance is a line in the loss only"


def test_chance_is_the_logarithm_of_the_last_batch_size(drawn):
    assert drawn(LINES)[0]["log N: chance"] == ([1, 10, 20], [math.log(100)] * 3)
    others = [line | {"objective": "ngrams"} for line in LINES]
    assert all(len(curves) == 1 for lines in ([], others) for curves in drawn(lines))
