"""Figures are written as what their name says, with our mark, and hold what they were given."""

import pytest
from matplotlib import rc_context, rcParams
from matplotlib.figure import Figure
from PIL import Image

from miniclip import plots

SHARE = {"value": 0.5, "low": 0.25, "high": 0.75, "n": 4}
BLANK = Image.new("RGB", (9, 5))
CURVES = {"$a^": ([1, 2], [3, 4], [2, 3], [4, 5]), "b": ([1], [2])}
FIGURES = {  # name of the function: its first argument
    "lines": [(CURVES, dict(xscale="log", title="$a^ \ud800", xticks=[1], xticklabels=["$_$"]))],
    "grid": [(BLANK, "$title^$", "$text^$", True), (BLANK, "\ud800", "", False)],
}


@pytest.fixture
def figures(monkeypatch):
    """The figures that are written."""
    made, save = [], Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda f, *a, **how: made.append(f) or save(f, *a, **how)
    )
    return made


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
@pytest.mark.parametrize("kind", FIGURES)
def test_a_figure_has_our_mark_and_names_are_no_mathematics_nor_set_by_latex(
    tmp_path, kind, suffix
):
    path = tmp_path / f"a.{suffix}"
    with rc_context({"text.usetex": True}):  # as in the matplotlibrc of somebody who has LaTeX
        getattr(plots, kind)(FIGURES[kind], path)
        assert rcParams["text.usetex"]
    assert plots.is_figure(path)
    path.write_bytes(b"mine")
    assert not plots.is_figure(path)


def test_a_panel_has_its_curves_and_what_is_for_comparison_is_dashed(tmp_path, figures):
    curves = {"a": (range(99), range(99)), "b": ([1, 2], [3, 4], [2, 3], [4, 5])}
    curves["c"] = ([1, 2], ["one", "two"])
    panels = [(curves, dict(xlabel="x")), ({"_": ([1], [2])}, {}), ({}, {})]
    plots.lines(panels, tmp_path / "a.png", rows=2, dashed=["b"], dots=["c"])
    first, second, *_ = figures[0].axes
    assert [(line.get_linestyle(), line.get_marker()) for line in first.lines] == [
        ("-", "None"),
        ("--", "None"),
        ("None", "o"),
    ]
    assert len(first.collections) == 1 and first.get_xlabel() == "x"
    assert len(first.get_legend().texts) == 3 and second.get_legend() is None
    assert second.lines[0].get_marker() == "o" and len(figures[0].axes) == 4


def test_a_grid_has_the_pictures_in_rows_with_their_texts(tmp_path, figures):
    plots.grid([(BLANK, "title", "a", True)] * 5, tmp_path / "a.png", columns=4)
    axes = figures[0].axes
    assert len(axes) == 8 and [len(axis.images) for axis in axes] == [1] * 5 + [0] * 3
    assert (axes[4].get_title("left"), axes[4].get_xlabel()) == ("title", "a")


def test_a_band_is_the_interval_of_each_share():
    assert plots.band("x", [SHARE]) == (["x"], [0.5], [0.25], [0.75])
