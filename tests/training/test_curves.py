"""The curves of a run: a picture of four panels, drawn from what the log holds."""

import json
import math

import pytest
from matplotlib.figure import Figure
from PIL import Image

from miniclip.training.curves import draw_curves

LINES = [
    dict(step=1, loss=5.0, accuracy=0.1, scale=14.0, lr=1e-4, batch_size=9),
    dict(step=10, loss=3.0, accuracy=0.5, lr=2e-3, batch_size=9),
    dict(step=20, loss=2.0, accuracy=0.75, scale=20.0, lr=1e-3, batch_size=100),
]


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """lines of a log -> the Figure that draw_curves makes, and writes if `saved`."""
    figures, save = [], Figure.savefig

    def draw(lines, saved=False):
        def savefig(figure, path, **how):
            figures.append(figure)
            if saved:
                save(figure, path, **how)

        monkeypatch.setattr(Figure, "savefig", savefig)
        (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        draw_curves(tmp_path / "log.jsonl", tmp_path / "curves.png")
        return figures[-1]

    return draw


def test_there_are_four_panels_of_the_numbers_by_step_and_a_hole_where_one_is_missing(
    drawn, tmp_path
):
    figure = drawn(LINES, saved=True)
    titles = [axis.get_title("left") for axis in figure.axes]
    assert titles == ["loss", "in-batch accuracy", "logit scale", "learning rate"]
    for axis, key in zip(figure.axes, ("loss", "accuracy", "scale", "lr")):
        x, y = axis.lines[0].get_data()
        assert list(x) == [1, 10, 20] and axis.get_xlabel() == "step"
        wanted = [line.get(key, math.nan) for line in LINES]
        assert list(y) == pytest.approx(wanted, nan_ok=True), key
        assert (axis.get_ylim()[0] == 0) == (key != "lr"), key  # the others begin at zero
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.format == "PNG" and picture.size == (1000, 560)


def test_chance_is_a_line_at_the_logarithm_of_the_last_batch_size_in_the_loss_only(drawn):
    loss, *others = drawn(LINES).axes
    assert list(loss.lines[1].get_ydata()) == [math.log(100)] * 2
    [text] = loss.texts
    assert text.get_text() == "log N: chance" and text.xy == (20, math.log(100))
    assert all(len(axis.lines) == 1 and not axis.texts for axis in others)
    assert drawn(LINES[:1]).axes[0].texts[0].xy == (1, math.log(9)), "a log of one line"


@pytest.mark.parametrize("lines", [[], [line | {"objective": "ngrams"} for line in LINES]])
def test_another_objective_or_an_empty_log_has_no_line_of_chance(drawn, lines):
    assert all(len(axis.lines) == 1 and not axis.texts for axis in drawn(lines).axes)
