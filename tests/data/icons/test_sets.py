"""The thirteen packages: what is said of a missing or a newer one; whose work they are."""

import importlib.metadata
import pathlib
import re

import pytest

from miniclip.common import UserError
from miniclip.data.dataset import changed_packages
from miniclip.data.icons import render
from miniclip.data.icons.icons import Icons
from miniclip.data.icons.sets import SETS, glyphs, newer, versions
from tests.data.icons import made_up

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


def licences(site):
    """[(file name, text)] that a package holds about the pictures."""
    files = importlib.metadata.files(f"tkinter-icons-{SETS[site].package}")
    return [(f.name, f.locate().read_text("utf-8")) for f in files if f.parent.name == "LICENSES"]


@pytest.mark.parametrize("site", SETS)
def test_author_licence_and_link_are_those_in_the_package(site):
    own, found, holders = SETS[site], set(), set()
    for name, text in licences(site):
        holder = re.search(r"^Copyright \(c\) ([\d, -]+)?(.*?),?( \(.*)?$", text, re.M)
        if holder and holder[2] == "Bas Milius":
            continue  # he drew another set called Meteocons, whose licence the package holds as well
        holders |= {holder[2]} if holder else set()
        found |= {licence for title, licence in TITLES.items() if re.match(title, text)}
    named = {licence for licence in TITLES.values() if licence in own.licence}
    assert found == named, f"the package has {found}, sets.py names {named}"
    assert all(holder in own.author for holder in holders), (holders, own.author)
    about = importlib.metadata.distribution(f"tkinter-icons-{own.package}").read_text("METADATA")
    link = re.search(r"\*\*Upstream:\*\* .*(<.*>)", about)[1]
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
    root = DOCUMENT.parents[1]
    font_files = {font for own in SETS.values() for _, font, _ in own.fonts}
    here = [
        p for folder in ("miniclip", "tests", "docs", "lessons") for p in (root / folder).rglob("*")
    ]
    assert len(here) > 100
    assert not [p for p in here if p.suffix in (".ttf", ".otf", ".woff2") or p.name in font_files]
    assert not [p for p in here if p.name.startswith("glyphmap")]


def test_code_points_are_numbers_or_hexadecimal(tmp_path, monkeypatch):
    (tmp_path / "glyphmap.json").write_text('{"icon-cat": "e10a", "icon-dog": 57611}')

    class File(type(tmp_path)):
        locate = type(tmp_path).absolute

    files = [File(tmp_path / name) for name in ("glyphmap.json", "lucide.ttf")]
    monkeypatch.setattr(importlib.metadata, "files", lambda package: files)
    font = str(tmp_path / "lucide.ttf")
    assert glyphs("lucide") == [("icon-cat", 0xE10A, font, ""), ("icon-dog", 0xE10B, font, "")]


def test_a_missing_package_is_one_sentence_that_says_how_to_get_it(monkeypatch):
    real = importlib.metadata.version

    def version(package):
        if package == "tkinter-icons-gmi":
            raise importlib.metadata.PackageNotFoundError(package)
        return real(package)

    monkeypatch.setattr(importlib.metadata, "version", version)
    with pytest.raises(UserError, match=r"need tkinter-icons-gmi: pip install 'miniclip\[icons\]'"):
        Icons()


def test_a_newer_package_is_said_in_one_sentence(monkeypatch, capsys):
    real = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda p: "1.2.0" if p.endswith("-fa") else real(p)
    )
    monkeypatch.setattr(render, "pictures", lambda: made_up([[("remix", "home", "")]]))
    assert Icons().packages["tkinter-icons-fa"] == "1.2.0"
    said = capsys.readouterr().err
    assert said == f"{newer()}\n" and said.startswith("tkinter-icons-fa 1.2.0: ")
    monkeypatch.setattr(importlib.metadata, "version", lambda p: "1.1.7")
    assert newer() == "" and Icons() and capsys.readouterr().err == ""


def test_packages_that_changed_are_named_with_both_versions():
    then, now = {"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "2.1"}
    assert changed_packages(then, now) == "b 2.1 (was 2), c None (was 3)"
    assert changed_packages(then, then) == changed_packages({}, now) == ""
