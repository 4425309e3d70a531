"""python -m miniclip.data says what is in a set, and docs/data.md says the same."""

import pathlib
import re

import pytest
from PIL import Image

from miniclip.data.__main__ import main
from tests.data.test_files import picture, write_csv


def test_the_summary_names_what_is_damaged_and_what_is_twice(tmp_path, capsys):
    picture(tmp_path / "a.png")
    Image.effect_noise((99, 99), 60).save(tmp_path / "twin.jpg")
    (tmp_path / "b.jpg").write_bytes(data := (tmp_path / "twin.jpg").read_bytes())
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    text = "filepath,caption\na.png,red\nb.jpg,blue\ntwin.jpg,blue\ncut.jpg,cut\nnone.png,none\n"
    assert main([str(write_csv(tmp_path, text))]) == 0
    said = capsys.readouterr().out
    assert "left out 2: none.png (no such file), cut.jpg (damaged: " in said
    assert re.search("groups of identical pictures +1 ", said)
    assert re.search("captions of several pictures +1 ", said)
    with pytest.raises(SystemExit) as stop:
        main([str(tmp_path / "nope")])
    assert stop.value.code == 2


def test_the_summary_of_the_embedded_pairs_is_what_the_documentation_shows(capsys):
    assert main([]) == 0
    said = capsys.readouterr().out.partition("\n")[2]  # the first line names the installed versions
    document = (pathlib.Path(__file__).parents[2] / "docs/data.md").read_text(encoding="utf-8")
    assert said in document, said
