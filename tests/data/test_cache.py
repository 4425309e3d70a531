"""A cache file gives what was written, or it is made again."""

import os
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniclip.data import cache as kept
from miniclip.data.emoji import drawings

CODES = ["1F600", "1F41B", "1F577"]
BODY = np.random.default_rng(0).integers(0, 9, 9000).astype(np.uint8)


@given(st.data())
def test_a_damaged_cache_is_not_used(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("cache") / "x.bin"
    kept.keep(path, ["a note"], BODY, "it")
    whole, (notes, body) = path.read_bytes(), kept.read(path)
    assert notes == ["a note"] and (body == BODY).all() and os.listdir(path.parent) == ["x.bin"]
    at = data.draw(st.integers(0, len(whole) - 1))
    flipped = bytes([whole[at] ^ 1 << data.draw(st.integers(0, 7))])
    rest = data.draw(st.sampled_from([flipped + whole[at + 1 :], b"\0" + whole[at:], b""]))
    path.write_bytes(whole[:at] + rest)
    found = kept.read(path)
    # a change of the JSON that changes nothing it says would be no damage
    assert found is None or (found[1] == BODY).all()
    assert found is None or at <= whole.index(b"\n")


def test_pictures_are_drawn_once_again_after_damage_and_for_other_versions(cache):
    first = drawings.pictures(CODES)
    assert first.shape == (3, 64, 64, 3) and 0 < first.mean() < 255
    with mock.patch.object(drawings, "draw_all", side_effect=AssertionError("drawn again")):
        assert (drawings.pictures(CODES) == first).all()
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:-7])
    assert (drawings.pictures(CODES) == first).all() and file.read_bytes() == whole
    drawings.pictures(CODES[:2])
    with mock.patch.object(drawings.importlib.metadata, "version", return_value="99"):
        drawings.pictures(CODES)
    assert len(list(cache.iterdir())) == 3


def test_a_write_that_fails_leaves_nothing_and_the_pictures_are_there_all_the_same(cache, capsys):
    with mock.patch.object(os, "fsync", side_effect=OSError("no space")):
        assert drawings.pictures(CODES).shape == (3, 64, 64, 3)
    assert os.listdir(cache) == []
    assert "cannot keep the drawings" in capsys.readouterr().err


@pytest.mark.parametrize(
    "settings, want",
    [
        ({}, "/home/x/.cache/miniclip"),
        ({"XDG_CACHE_HOME": "~/xdg"}, "/home/x/xdg/miniclip"),
        ({"XDG_CACHE_HOME": "/xdg", "MINICLIP_CACHE": "~/own"}, "/home/x/own"),
    ],
)
def test_the_cache_lies_where_the_user_says(settings, want, monkeypatch):
    for name in ("XDG_CACHE_HOME", "MINICLIP_CACHE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/x", **settings}.items():
        monkeypatch.setenv(name, value)
    assert kept.folder().as_posix() == want
