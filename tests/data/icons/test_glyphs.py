"""The glyphs of thirteen icon sets: whose work they are, what they are called, and how they look."""

import importlib.metadata
import itertools
import pathlib
import re
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from miniclip.common import UserError
from miniclip.data.dataset import changed_packages
from miniclip.data.icons import render, sets
from miniclip.data.icons.icons import Icons
from miniclip.data.icons.sets import SETS, glyphs, listed, newer, pixels, split_name, versions
from tests.data.icons import fontawesome, made_up

DOCUMENT = pathlib.Path(__file__).parents[3] / "docs/icons.md"
TITLES = {  # how a licence file begins or calls itself -> its name
    "MIT License": "MIT",
    r"The MIT License \(MIT\)": "MIT",
    "ISC License": "ISC",
    "Apache License, Version 2.0": "Apache 2.0",
    r"Creative Commons Attribution 4.0 International \(CC BY 4.0\)": "CC BY 4.0",
    r"Creative Commons Attribution 3.0 Unported \(CC BY 3.0\)": "CC BY 3.0",
    "# Creative Commons Attribution-Share Alike 4.0 International": "CC BY-SA 4.0",
    r"(# )?SIL Open Font License,? (Version )?1.1": "OFL 1.1",
    "Meteocons\nCopyright": "the author's own terms",
}


@pytest.mark.parametrize("site", SETS)
def test_author_licence_and_link_are_those_in_the_package(site):
    own, found, holders = SETS[site], set(), set()
    package = importlib.metadata.distribution(f"tkinter-icons-{own.package}")
    for file in (file for file in package.files if file.parent.name == "LICENSES"):
        text = file.locate().read_text("utf-8")
        holder = re.search(r"^Copyright \(c\) ([\d, -]+)?(.*?),?( \(.*)?$", text, re.M)
        if holder and holder[2] == "Bas Milius":
            continue  # he drew another set called Meteocons, whose licence the package holds as well
        holders |= {holder[2]} if holder else set()
        found |= {licence for title, licence in TITLES.items() if re.match(title, text)}
    named = {licence for licence in TITLES.values() if licence in own.licence}
    assert found == named, f"the package has {found}, sets.py names {named}"
    assert all(holder in own.author for holder in holders), (holders, own.author)
    link = re.search(r"\*\*Upstream:\*\* .*(<.*>)", package.read_text("METADATA"))[1]
    row = f"| {site} | `tkinter-icons-{own.package}` | {own.author} | {own.licence} | {link} |"
    assert row in DOCUMENT.read_text("utf-8").splitlines(), row


@pytest.mark.parametrize("site", SETS)
def test_each_set_has_the_fonts_and_the_names_that_its_entry_tells(site):
    found = glyphs(site)
    assert {style for *_, style in found} == {style for _, _, style in SETS[site].fonts}
    fonts = {pathlib.Path(font).name for _, _, font, _ in found}
    assert fonts == {font for _, font, _ in SETS[site].fonts}
    assert all(isinstance(code, int) and code > 32 for _, code, _, _ in found) and len(found) > 40


def test_the_extra_brings_these_packages_and_the_tests_have_it():
    text = (DOCUMENT.parents[1] / "pyproject.toml").read_text("utf-8")
    extra = re.search(r"^icons = \[.*?^\]", text, re.M | re.S)[0]
    named = re.findall(r'"(tkinter-icons-\w+)>=1\.1,<1\.2"', extra)
    assert sorted(named) == sorted(versions())
    brought = re.search(r'^test = \[\s*"miniclip\[(.*?)\]"', text, re.M)[1]
    assert "icons" in brought.split(",")


def test_nothing_of_the_sets_is_in_the_repository():
    folders = [DOCUMENT.parents[1] / name for name in ("miniclip", "tests", "docs", "lessons")]
    here = [path for folder in folders for path in folder.rglob("*")]
    assert len(here) > 100
    assert not [p for p in here if p.suffix in (".ttf", ".otf", ".woff2")]
    assert not [p for p in here if p.name.startswith("glyphmap")]


def test_code_points_are_numbers_or_hexadecimal(tmp_path, monkeypatch):
    (tmp_path / "glyphmap.json").write_text('{"icon-cat": "e10a", "icon-dog": 57611}')

    class File(type(tmp_path)):
        locate = type(tmp_path).absolute

    files = [File(tmp_path / name) for name in ("glyphmap.json", "lucide.ttf")]
    monkeypatch.setattr(importlib.metadata, "files", lambda package: files)
    font = str(tmp_path / "lucide.ttf")
    assert glyphs("lucide") == [("icon-cat", 0xE10A, font, ""), ("icon-dog", 0xE10B, font, "")]


def test_a_missing_and_a_newer_package_are_named(monkeypatch, capsys):
    def version(package):
        if package == missing:
            raise importlib.metadata.PackageNotFoundError(package)
        return "1.2.0" if package.endswith("-fa") else "1.1.7"

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(render, "pictures", lambda: made_up([[("remix", "home", "")]]))
    missing = "tkinter-icons-gmi"
    with pytest.raises(UserError, match=r"need tkinter-icons-gmi: pip install 'miniclip\[icons\]'"):
        Icons()
    missing = None
    assert Icons().packages["tkinter-icons-fa"] == "1.2.0"
    assert capsys.readouterr().err == f"{newer()}\n" and "tkinter-icons-fa 1.2.0: " in newer()
    monkeypatch.setattr(importlib.metadata, "version", lambda package: "1.1.7")
    assert newer() == "" and Icons() and capsys.readouterr().err == ""
    assert (
        changed_packages({"a": "1", "b": "2", "c": "3"}, {"a": "1"})
        == "b None (was 2), c None (was 3)"
    )


# --- names


STYLED = [site for site, own in SETS.items() if own.styles]
WORDS = st.lists(st.sampled_from("cat dog 3d up 24 to".split()), min_size=1, max_size=4)
PREFIXES = {  # what stands before a name
    "eva": ["eva-"],
    "fluent": ["ic-fluent-"],
    "ionicons": ["ion-", "ios-", "android-", "md-", "ion-ios-", "ion-android-", "ion-md-"],
    "lucide": ["icon-"],
    "material": ["mdi-"],
    "rpg": ["ra-"],
    "typicons": ["typcn-"],
    "weather": ["wi-"],
}


@pytest.mark.parametrize(
    "site, spelled, style, want",
    [
        ("fluent", "ic-fluent-access-time-24-filled", "", ("access time", "filled")),
        ("bootstrap", "calendar2-month-fill", "", ("calendar2 month", "fill")),
        ("bootstrap", "database-fill-lock", "", ("database fill lock", "")),
        ("google", "mood_bad", "round", ("mood bad", "round")),
        ("google", "star_outline", "sharp", ("star", "outline sharp")),
        ("fontawesome", "fill", "", ("fill", "")),
        ("fontawesome", "circle-user", "regular", ("circle user", "regular")),
        ("ionicons", "ion-ios-heart-outline", "", ("heart", "outline")),
        ("ionicons", "outline", "", ("outline", "")),
        ("weather", "owm-day-804", "", None),
        ("weather", "forecast-io-rain", "", None),
        ("weather", "wi-day-rain", "", ("day rain", "")),
        ("remix", "replay-30-fill", "", ("replay 30", "fill")),
    ],
)
def test_names_as_the_sets_spell_them(site, spelled, style, want):
    assert split_name(site, spelled, style) == want


@given(st.sampled_from(STYLED), WORDS, st.sampled_from(["-", "_", " ", "--", "_-"]), st.data())
def test_words_of_style_stand_apart_in_their_order_and_separators_are_spaces(
    site, words, separator, data
):
    styles = data.draw(st.lists(st.sampled_from(SETS[site].styles), max_size=2))
    name, style = split_name(site, separator.join(["x", *words, "y", *styles]), "own")
    assert name == " ".join(["x", *words, "y"]) and style == " ".join([*styles, "own"])
    word = data.draw(st.sampled_from(SETS[site].styles))  # it may be the name of a thing as well
    assert split_name(site, word) == (word, "")
    assert split_name(site, f"{word}-{word}") == (word, word)


@pytest.mark.parametrize("site", SETS)
def test_a_prefix_is_removed_once_and_only_from_the_front(site):
    for prefix in {prefix for own in PREFIXES.values() for prefix in own}:
        words = prefix.replace("-", " ")
        own = prefix in PREFIXES.get(site, [])
        assert split_name(site, f"{prefix}cat") == ("cat" if own else f"{words}cat", ""), prefix
        inside = f"cat {words}dog"
        assert not own or split_name(site, inside) == (inside, ""), prefix


@given(st.sampled_from(list(SETS)), st.integers(8, 99))
def test_only_fluent_s_names_end_with_a_size(site, size):
    assert split_name(site, f"cat-{size}") == ("cat" if site == "fluent" else f"cat {size}", "")
    assert pixels(site, f"ic-fluent-7-cat-{size}-filled") == (size if site == "fluent" else 0)
    assert pixels("fluent", "cat-filled") == 0 and split_name("fluent", "24") == ("24", "")


@given(st.permutations([16, 20, 24, 28, 48]), st.integers(1, 5))
def test_of_fluent_s_sizes_the_one_nearest_to_24_is_drawn(sizes, count):
    spelled = [(f"ic-fluent-cat-{size}-filled", size, "font", "") for size in sizes[:count]]
    nearest = min(abs(size - 24) for size in sizes[:count])
    ((font, size, own),) = listed("fluent", spelled)
    tie = [(f"ic-fluent-cat-{size}-filled", size, "font", "") for size in (20, 28)]
    assert listed("fluent", tie)[0][1] == 20 and listed("fluent", tie[::-1])[0][1] == 28
    assert abs(size - 24) == nearest and (font, own) == ("font", [("cat", "filled")])


def test_names_of_one_glyph_are_its_captions_and_each_glyph_is_drawn_once():
    spelled = [("a-b", 1, "f", ""), ("mdi-a-b", 1, "f", ""), ("c", 1, "f", ""), ("d", 1, "g", "")]
    assert listed("material", spelled) == [
        ("f", 1, [("a b", ""), ("c", "")]),
        ("g", 1, [("d", "")]),
    ]
    assert listed("meteocons", spelled) == [("f", 1, [("a b", "")]), ("g", 1, [("d", "")])]
    # another glyph of the same name is another picture, but for fluent's sizes
    again = [("cat", 1, "f", ""), ("cat", 2, "f", "")]
    assert listed("material", again) == [("f", 1, [("cat", "")]), ("f", 2, [("cat", "")])]
    assert listed("weather", [("wu-rain", 1, "f", ""), ("wi-rain", 1, "f", "")]) == [
        ("f", 1, [("rain", "")])
    ]


def test_font_awesome_has_names_for_each_of_its_glyphs():
    spelled = glyphs("fontawesome")
    found = listed("fontawesome", spelled)
    assert len(found) == len({(font, code) for _, code, font, _ in spelled}) > 2000
    captions = list(itertools.chain.from_iterable(own for _, _, own in found))
    assert {style for _, style in captions} == {"", "regular"}
    assert all(name == " ".join(name.split()) and name for name, _ in captions)
    assert ("trash can", "") in captions and ("trash can", "regular") in captions


# --- pixels


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


@pytest.mark.parametrize("level", range(0, 256, 5))
def test_a_hash_has_the_nearest_of_four_greys_at_24_pixels(level):
    nearest = min(range(4), key=lambda k: abs(85 * k - level))  # 0, 85, 170 and 255
    flat = np.full((64, 64), level, np.uint8)
    assert render.coarse(flat) == bytes([nearest]) * 576
    flat[:32] = 255 - level
    assert nearest in (0, 3) or render.coarse(flat) != render.coarse(flat[::-1])


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
    inks = np.arange(2 * 64 * 64).astype(np.uint8).reshape(2, 64, 64)
    draw_all = mock.Mock(return_value=([[["eva", "minus", ""]], [["eva", "plus", ""]]], inks))
    monkeypatch.setattr(render, "draw_all", draw_all)
    for count, version in ((1, "1.1.1"), (1, "1.1.1"), (2, "1.1.2"), (2, "1.1.1")):
        monkeypatch.setattr(sets, "versions", lambda: {"tkinter-icons-eva": version})
        captions, found = render.pictures()
        assert draw_all.call_count == count
        assert np.array_equal(found, inks) and captions[1] == [["eva", "plus", ""]]
