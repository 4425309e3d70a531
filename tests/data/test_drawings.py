"""Other drawings of the same concepts: there, not blank, and not the colour ones."""

import importlib.metadata

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from miniclip.data import BadPicture, open_pairs
from miniclip.data.emoji.drawings import KINDS, Drawings, line_art, noto_font


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


def test_noto_draws_each_emoji_by_its_code_point_in_the_middle(pairs):
    try:
        drawings = Drawings(pairs, "Noto")
    except ValueError as error:
        pytest.skip(str(error))
    codes = {i: pairs.rows[i][0]["codes"] for i in drawings.available}
    assert len(codes) > 1000 and not any("-" in code for code in codes.values())
    font = ImageFont.truetype(noto_font(), 54, layout_engine=ImageFont.Layout.BASIC)

    def ink(image):
        """(how much, the middle (x, y)) of what is dark."""
        dark = 255.0 - np.asarray(image.convert("L"))
        y, x = np.mgrid[: len(dark), : len(dark)]
        return dark.sum(), np.array([(dark * x).sum(), (dark * y).sum()]) / dark.sum()

    for character in "\U0001f41b\u2764\U0001f576":
        (i,) = (i for i, code in codes.items() if int(code, 16) == ord(character))
        large = Image.new("L", (200, 200), "white")
        ImageDraw.Draw(large).text((50, 50), character, font=font, fill="black")
        (much, place), (drawn, found) = ink(large), ink(drawings.image(i))
        assert much == drawn
        left, top, right, bottom = font.getbbox(character)
        middle = found - place + 50 + ((left + right) / 2, (top + bottom) / 2)
        assert np.abs(middle - 32).max() <= 0.55, middle  # Pillow draws at whole pixels
    lacking = next(i for i in range(len(pairs)) if i not in codes)
    with pytest.raises(BadPicture, match=pairs.captions(lacking)[0]):
        drawings.image(lacking)


def test_an_unknown_kind_is_named(pairs):
    with pytest.raises(ValueError, match="oil"):
        Drawings(pairs, "oil")
