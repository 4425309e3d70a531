"""HEIC, in which phones store photographs: read wherever pictures are, with pillow-heif."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

from miniclip.data import image_io, open_pairs
from miniclip.data.dataset import BadPicture
from tests.data.tars import heic

CORNERS = [[(250, 0, 0), (0, 250, 0)], [(0, 0, 250), (250, 250, 250)]]
PICTURE = Image.fromarray(np.array(CORNERS, np.uint8)).resize((64, 48), Image.Resampling.NEAREST)


def differs(image, other=PICTURE):
    """The largest difference between levels of two pictures."""
    return np.abs(np.subtract(image, other, dtype=float)).max()


def test_it_is_read_from_a_folder_by_each_of_its_suffixes(tmp_path):
    for name in ("a.HEIC", "b.heif", "c.hif"):
        (tmp_path / name).write_bytes(heic(PICTURE))
        (tmp_path / name).with_suffix(".txt").write_text("a cup")
    pairs = open_pairs(tmp_path)
    # RGB becomes YCbCr and comes back, each rounded to whole levels
    assert len(pairs) == 3 and max(differs(pairs.image(i)) for i in range(3)) <= 3


def test_it_comes_upright_and_on_white():
    exif = Image.Exif()
    exif[0x112] = 6
    upright = image_io.read(io.BytesIO(heic(PICTURE, exif=exif.tobytes())))
    assert differs(upright, PICTURE.transpose(Image.Transpose.ROTATE_270)) <= 3
    clear = Image.new("RGBA", (64, 48), (0, 0, 0, 0))
    assert differs(image_io.read(io.BytesIO(heic(clear))), Image.new("RGB", (64, 48), "white")) <= 3


def test_other_code_of_the_process_reads_what_it_could_before():
    image_io.read(io.BytesIO(heic(PICTURE)))
    assert "HEIF" not in Image.OPEN


def test_without_the_package_one_sentence_says_what_to_install(monkeypatch):
    data = heic(PICTURE)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    for read in (image_io.read, image_io.check):
        with pytest.raises(BadPicture, match=r"needs pillow-heif; pip install 'miniclip\[app\]'"):
            read(io.BytesIO(data))
