"""Other drawings of the same concepts: there, not blank, and not the colour ones."""

import importlib.metadata

import numpy as np
import pytest

from miniclip.data import open_pairs
from miniclip.data.emoji.drawings import KINDS, Drawings, line_art


@pytest.fixture(scope="module")
def pairs():
    return open_pairs()


@pytest.mark.parametrize("kind", KINDS)
def test_each_drawing_is_its_own_and_not_blank(pairs, kind):
    try:
        drawings = Drawings(pairs, kind)
    except ValueError as error:
        pytest.skip(str(error))
    for i in drawings.available[::80]:
        picture = drawings.image(i)
        assert picture.size == (64, 64) and picture.mode == "RGB"
        assert any(low < high for low, high in picture.getextrema()), (
            f"{pairs.captions(i)[0]} is blank"
        )
        if kind != "colour":
            grey = np.asarray(picture).astype(int)
            assert np.ptp(grey, axis=2).max() <= 40, f"{pairs.captions(i)[0]} has colour"


def test_line_art_loses_the_groups_that_fill_and_keeps_the_lines():
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg"><g id="color"><path d="M0 0"/></g>'
        '<g id="skin-shadow"><path d="M1 1"/></g><g id="hair"/><g id="line"><path d="M2 2"/></g></svg>'
    )
    left = line_art(svg)
    assert "M2 2" in left and "M0 0" not in left and "M1 1" not in left


def test_flags_and_tones_are_left_out(pairs):
    available = Drawings(pairs, "line art").available
    assert len(available) > 1500
    assert not any(pairs.tones(i) or "flag:" in pairs.captions(i)[0] for i in available)


def test_a_missing_font_is_one_sentence(pairs, monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(ValueError, match="pip install"):
        Drawings(pairs, "Noto")


def test_an_unknown_kind_is_named(pairs):
    with pytest.raises(ValueError, match="oil"):
        Drawings(pairs, "oil")
