"""What the tests of data share: the embedded pairs, shards, and pictures."""

import pytest

from miniclip.data import open_pairs
from miniclip.data.shards.pack import pack
from tests.data.tars import Coloured, save


@pytest.fixture(scope="session")
def emoji():
    """The embedded pairs."""
    return open_pairs()


@pytest.fixture(name="packed")
def packed_pairs(tmp_path, cache):
    """60 pairs in 12 shards of 5."""
    pack(Coloured(60), tmp_path / "out", 5)
    return open_pairs(tmp_path / "out")


@pytest.fixture
def folder(tmp_path):
    """Three pictures in a folder: a.png, b.jpg and sub/c.webp."""
    for name, colour in (("a.png", "red"), ("b.jpg", "blue"), ("sub/c.webp", "green")):
        save(tmp_path / name, colour)
    return tmp_path
