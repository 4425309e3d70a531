"""Icons as pixels: all of the ink, as large as it may be; equal drawings have an equal hash."""

from unittest import mock

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from miniclip.data.icons import render, sets
from tests.data.icons import fontawesome


def extent(ink):
    """((top, left), (bottom, right)) of the ink, the latter excluded."""
    where = np.argwhere(ink)
    return where.min(0), where.max(0) + 1


class Font:
    """One glyph, a picture of mode L, or none."""

    def __init__(self, picture):
        self.picture = picture

    def getmask(self, text, mode):
        assert (text, mode) == ("A", "L")
        return self.picture.im


@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 9), st.integers(0, 9))
def test_a_bar_of_any_shape_fills_52_of_64_pixels_and_stands_in_the_middle(w, h, left, top):
    around = Image.new("L", (w + left + 3, h + top + 2))
    around.paste(255, (left, top, left + w, top + h))
    ink = render.draw(Font(around), ord("A"))
    first, last = extent(ink)
    assert ink.shape == (64, 64) and ink.dtype == np.uint8 and ink.max() == 255
    sides = last - first
    assert max(sides) == 52 and sides[::-1].tolist() == [
        max(1, round(side * (52 / max(w, h)))) for side in (w, h)
    ]
    assert np.abs(first + last - 64).max() <= 1


def test_an_empty_glyph_is_none():
    for picture in (Image.new("L", (0, 0)), Image.new("L", (5, 5)), Image.new("L", (0, 5))):
        assert render.draw(Font(picture), ord("A")) is None


def test_font_awesome_is_drawn_whole_and_large():
    drawn = fontawesome()
    assert len(drawn) > 2000
    for own, ink in drawn:
        first, last = extent(ink)
        # a faint edge may round to nothing
        assert 48 <= max(last - first) <= 52 and min(first) >= 6 and max(last) <= 58, own
        assert ink.max() > 200, own


@given(arrays(np.uint8, (64, 64), elements=st.integers(0, 255)), st.integers(1, 4))
def test_a_hash_forgets_faint_differences_and_keeps_strong_ones(ink, step):
    assert render.coarse(ink) == render.coarse(ink.copy()) and len(render.coarse(ink)) == 576
    flat = np.full((64, 64), 80, np.uint8)  # a level's middle: 85
    assert render.coarse(flat) == render.coarse(flat + np.uint8(step))
    assert set(render.coarse(np.full((64, 64), 85 * (step - 1), np.uint8))) == {step - 1}
    turned = flat.copy()
    turned[:32] = 255
    assert render.coarse(turned) != render.coarse(turned[::-1])


def test_each_grey_is_hashed_as_the_nearest_of_four():
    for level in range(256):
        nearest = min(range(4), key=lambda k: abs(85 * k - level))  # 0, 85, 170 and 255
        assert {*render.coarse(np.full((24, 24), level, np.uint8))} == {nearest}, level


def test_equal_drawings_are_one_picture_with_the_captions_of_both():
    bar, dot = Image.new("L", (9, 3), 255), Image.new("L", (9, 9), 255)
    glyphs = {
        "eva": [("eva-minus", 65, "a", ""), ("nothing", 65, "empty", "")],
        "lucide": [("icon-line", 65, "b", ""), ("icon-dot", 65, "c", "")],
    }
    fonts = {"a": Font(bar), "b": Font(bar), "c": Font(dot), "empty": Font(Image.new("L", (3, 3)))}
    with (
        mock.patch.object(sets, "glyphs", lambda site: glyphs.get(site, [])),
        mock.patch.object(render.ImageFont, "truetype", lambda path, em, **how: fonts[path]),
    ):
        captions, inks = render.draw_all()
    assert captions == [[("eva", "minus", ""), ("lucide", "line", "")], [("lucide", "dot", "")]]
    assert len(inks) == 2 and np.array_equal(inks[0], render.draw(Font(bar), ord("A")))


def test_icons_are_drawn_once_and_again_for_other_packages(tmp_path, monkeypatch):
    monkeypatch.setenv("MINICLIP_CACHE", str(tmp_path))
    calls, inks = [], np.arange(2 * 64 * 64).astype(np.uint8).reshape(2, 64, 64)

    def draw_all():
        calls.append(1)
        return [[["eva", "minus", ""]], [["eva", "plus", ""]]], inks

    monkeypatch.setattr(render, "draw_all", draw_all)
    for count, version in ((1, "1.1.1"), (1, "1.1.1"), (2, "1.1.2"), (2, "1.1.1")):
        monkeypatch.setattr(sets, "versions", lambda: {"tkinter-icons-eva": version})
        captions, found = render.pictures()
        assert len(calls) == count
        assert np.array_equal(found, inks) and captions[1] == [["eva", "plus", ""]]
