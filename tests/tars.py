"""What the tests of shards share: pairs that can be told apart, tars of anything, a cache apart."""

import io
import tarfile

import pytest
from PIL import Image

from miniclip.data import BadPicture, open_pairs
from miniclip.data.pack import pack
from miniclip.data.pairs import Pairs


class Coloured(Pairs):
    """n pictures of which each is one colour and says its index; those in `bad` cannot be read."""

    def __init__(self, n, bad=()):
        super().__init__("coloured", [[str(i)] for i in range(n)], {"train": list(range(n))})
        self.bad = bad

    def image(self, i):
        if i in self.bad:
            raise BadPicture("damaged")
        return Image.new("RGB", (4, 4), (i % 256, i // 256, 7))


@pytest.fixture(name="cache")
def cache_folder(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("MINICLIP_CACHE", str(folder))
    return folder


def picture(kind="JPEG", colour=(200, 30, 90), size=(20, 16)):
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, kind)
    return file.getvalue()


def write_tar(path, members, form=tarfile.USTAR_FORMAT):
    """A tar of (name, bytes or a type of member)."""
    with tarfile.open(path, "w", format=form) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            if isinstance(data, tuple):
                info.type, info.linkname = data
                tar.addfile(info)
            else:
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return str(path)


@pytest.fixture(name="packed")
def packed_pairs(tmp_path, cache):
    """60 pairs in 12 shards of 5."""
    pack(Coloured(60), tmp_path / "out", 5)
    return open_pairs(tmp_path / "out")
