"""python -m miniclip.data says what is in a set, and docs/data.md says the same."""

import pathlib
import re

import pytest
from PIL import Image

from miniclip.data.__main__ import main
from tests.data.tars import save, write_csv

DOCS = pathlib.Path(__file__).parents[2] / "docs"
NUMBER = r"[\d,]+(?:\.\d+)?"


def described(document, said):
    """The summary without its first line, which names versions, is in a page of docs/."""
    text = (DOCS / document).read_text(encoding="utf-8")
    return said.partition("\n")[2] in text


def about_the_same(line, written):
    """Two lines about icons have the same words, and numbers that differ by a few pictures at most:
    another FreeType draws some edges otherwise."""
    words, others = (re.sub(NUMBER, "", own).split() for own in (line, written))
    assert words == others, (line, written)
    pairs = zip(*(re.findall(NUMBER, own.replace(",", "")) for own in (line, written)))
    differ = [(a, b) for a, b in pairs if abs(float(a) - float(b)) > 2 + 1e-3 * float(b)]
    assert not differ, (line, written)


def test_the_summary_names_what_is_damaged_and_what_is_twice(tmp_path, capsys):
    save(tmp_path / "a.png")
    Image.effect_noise((99, 99), 60).save(tmp_path / "twin.jpg")
    (tmp_path / "b.jpg").write_bytes(data := (tmp_path / "twin.jpg").read_bytes())
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    text = "filepath,caption\na.png,red\nb.jpg,blue\ntwin.jpg,blue\ncut.jpg,cut\nnone.png,none\n"
    assert main([str(write_csv(tmp_path, text))]) == 0
    said = capsys.readouterr().out
    assert "left out 2: none.png (no such file or directory), cut.jpg (damaged: " in said
    assert re.search("groups of identical pictures +1 ", said)
    assert re.search("captions of several pictures +1 ", said)
    with pytest.raises(SystemExit) as stop:
        main([str(tmp_path / "nope")])
    assert stop.value.code == 2


def test_the_summary_of_the_embedded_pairs_is_what_the_documentation_shows(capsys):
    assert main([]) == 0
    said = capsys.readouterr().out
    assert described("data.md", said), said


@pytest.mark.slow
def test_the_summary_of_all_icons_is_what_the_documentation_shows(capsys):
    assert main(["icons"]) == 0
    said, page = capsys.readouterr().out, (DOCS / "icons.md").read_text(encoding="utf-8")
    for line in said.splitlines()[1:]:
        label = re.match(r"  .*?  ", line).group()
        written = next(own for own in page.splitlines() if own.startswith(label))
        about_the_same(line, written)
