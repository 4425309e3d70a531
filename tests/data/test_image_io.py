"""A picture file: it is read, or refused with a reason; nothing else happens."""

import random
import struct
import zlib

import pytest
from PIL import Image

from miniclip.data import BadPicture, image_io


def header_of_png(width, height):
    """The first bytes of a 1-bit PNG that says it is this large, and no pixels."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n\0\0\0\r"
        + body
        + struct.pack(">I", zlib.crc32(body))
        + b"\0\0\0\x09IDAT"
    )


@pytest.mark.parametrize("content, reason", [(b"", "an empty file"), (b"x", "not a picture")])
def test_an_empty_file_is_told_from_one_that_is_no_picture(tmp_path, content, reason):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(BadPicture, match=reason):
        image_io.check(tmp_path / "a.png")


def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path, recwarn):
    for size in ((10_000, 10_000), (20_000, 20_000), (2**31 - 1, 2**31 - 1)):
        (tmp_path / "huge.png").write_bytes(header_of_png(*size))
        with pytest.raises(BadPicture, match="100 megapixels"):
            image_io.check(tmp_path / "huge.png")
    (tmp_path / "large.png").write_bytes(header_of_png(9_999, 10_000))
    image_io.check(tmp_path / "large.png")
    assert not recwarn.list


def mutated(data, seed):
    """Bytes with one to three things wrong: a bit flipped, a piece cut out, repeated, or zeroed."""
    rng, data = random.Random(seed), bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(data) + 1)
        length = rng.randint(1, 20)
        match rng.randrange(5):
            case 0 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                del data[at : at + length]
            case 2:
                data[at:at] = data[at : at + length]
            case 3:
                data[at : at + length] = bytes(len(data[at : at + length]))
            case _:
                del data[at:]
    return bytes(data)


def test_a_jpeg_comes_at_the_smallest_of_its_four_sizes_that_is_large_enough(tmp_path):
    Image.new("RGB", (160, 128)).save(tmp_path / "a.jpg")
    Image.new("RGB", (160, 128)).save(tmp_path / "a.png")
    for side, size in (
        (None, (160, 128)), (200, (160, 128)), (65, (160, 128)), (64, (80, 64)), (33, (80, 64)),
        (32, (40, 32)), (17, (40, 32)), (16, (20, 16)), (8, (20, 16)), (1, (20, 16)),
    ):  # fmt: skip
        assert image_io.read(tmp_path / "a.jpg", side).size == size, side
        assert image_io.read(tmp_path / "a.png", side).size == (160, 128)
