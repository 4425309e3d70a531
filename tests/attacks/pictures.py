"""Attacks on pictures: small files that take long, or much memory, to decode; other people's loaders."""

import contextlib
import io
import os
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from miniclip.data import image_io, open_pairs
from miniclip.data.dataset import BadPicture
from miniclip.data.image_io import check, read
from miniclip.data.threads import in_threads, read_all
from miniclip.data.transforms import MEAN, STD, Preprocess, normalize
from tests.attacks import attack, table
from tests.data.tars import file_of, heic, png, png_chunk
from tests.shared import must_refuse

SOS = b"\xff\xda"
WEBP = bytes.fromhex(
    "5249464626000000574542505650384c190000002f0ea7c319075081540820000a1a02495bbced8f8f88e87f0000"
)


def encoded(mode, size, kind, **options):
    return file_of(Image.new(mode, size), kind, **options)


@attack(code=0)
def a_png_with_a_flipped_bit_is_never_another_picture(folder):
    emoji = Image.new("RGB", (48, 48), "white")
    emoji.paste("red", (9, 9, 40, 20))
    good = file_of(emoji)
    for k in range(8 * len(good)):
        data = bytearray(good)
        data[k // 8] ^= 1 << k % 8
        with contextlib.suppress(BadPicture):
            assert read(bytes(data)).tobytes() == emoji.tobytes(), k


@attack(says="a JPEG of more than 100 scans", seconds=5)
def a_jpeg_of_six_thousand_scans(folder):
    data = encoded("L", (4000, 4000), "JPEG", progressive=True)
    at = data.rindex(SOS)
    read(data[:at] + data[at:-2] * 6000 + data[-2:])


@attack(code=0)
def pictures_that_pillow_reads_in_python_for_minutes(folder):
    image_io.MOST_SECONDS = 0.2
    jpeg, one = encoded("L", (9, 9), "JPEG"), encoded("L", (1, 1), "PNG")
    exif = struct.pack(">HH", 0xFFE1, 1008) + b"Exif\0\0" + bytes(1000)
    bmp = struct.pack("<2s3I3I2H6I", b"BM", 0, 0, 1078, 40, 999, 999, 1, 8, 1, *[0] * 5)
    for words, data in (
        ("takes too long", jpeg[:2] + exif * 30_000 + jpeg[2:]),  # Pillow joins them one by one
        ("takes too long", b"P5 5000 5000 99 " + bytes(5000 * 5000)),
        ("takes too long", bmp + bytes(9 << 20)),  # empty rows, run by run
        ("takes too long", encoded("L", (1, 500_000), "TIFF", tiffinfo={278: 1})),  # in strips
        ("more than 100,000 chunks", one[:-12] + png_chunk(b"prVt", b"") * 10**6 + one[-12:]),
    ):
        must_refuse(words, read, data)
    ppm = b"P3 1 1 255\n" + b"#\n" * (1 << 19) + b"9 9 9"  # for each comment it copies the others
    assert read(ppm).getpixel((0, 0)) == (9, 9, 9)


def holed_png(before):
    """A PNG of one pixel with a chunk of 2 GB, of which the disk stores nothing. before: the type of
    the chunk that comes next."""
    data = encoded("L", (1, 1), "PNG")
    at = data.index(before) - 4
    with open("holed.png", "wb") as file:
        file.write(data[:at] + struct.pack(">I4s", 2**31 - 16, b"prVt"))
        file.seek(2**31 - 12, os.SEEK_CUR)
        file.write(data[at:])
    read("holed.png")


CASES = {
    f"a_hole_of_2_gb_before_{name}": (name.encode(), "a chunk without") for name in ("IDAT", "IEND")
}
table(CASES, holed_png, mb=100)


@attack(code=0)
def a_jpeg_of_100_scans_whose_comment_and_end_look_like_scans(folder):
    data = encoded("L", (40, 30), "JPEG", comment=SOS * 200, progressive=True)
    own = data.count(SOS) - 200
    last = data[data.rindex(SOS) : -2]
    assert read(data[:-2] + last * (100 - own) + data[-2:] + SOS * 200).size == (40, 30)


@attack(code=0, seconds=20, mb=800, slow=True)
def a_16_bit_picture_of_100_megapixels(folder):
    assert read(encoded("I;16", (9999, 10_000), "PNG")).mode == "RGB"


@attack(code=0, seconds=20, mb=1000, slow=True)
def a_lying_transparent_picture_of_100_megapixels(folder):
    exif = Image.Exif()
    exif[0x112] = 6
    assert read(encoded("RGBA", (9999, 10_000), "PNG", exif=exif)).size == (10_000, 9999)


@attack(code=0, slow=True)
def a_picture_of_two_thousand_frames(folder):
    first, *frames = (Image.new("L", (64, 64), k % 256) for k in range(2000))
    for kind in ("GIF", "PNG"):
        data = file_of(first, kind, save_all=True, append_images=frames)
        assert read(data).getpixel((0, 0)) == (0, 0, 0)


def grey_tiff(tag, value):
    """A grey TIFF of 16 bits, read as one whose tag 258 (bits of a level) or 262 (0: 0 is white) has
    another value."""
    entry = tag.to_bytes(2, "little") + bytes.fromhex("030001000000")
    data = encoded("I;16", (8, 8), "TIFF")
    at = data.index(entry) + len(entry)
    return data[:at] + bytes([value, 0]) + data[at + 2 :]


def opened(data):
    return Image.open(io.BytesIO(data))


LEVELS = np.full((9, 9), 0.5)
table(
    {
        "a_path": ("cat.jpg", "preprocess takes a PIL image, not a str; PIL.Image.open"),
        "levels_from_0_to_1": (
            Image.fromarray(LEVELS.astype(np.float32)),
            "convert them to 8 bits",
        ),
        "levels_of_32_bits": (Image.fromarray((LEVELS * 255).astype(np.int32)), "32 bits"),
        "nothing": (Image.new("RGB", (0, 9)), "the image has no pixels"),
        "a_picture_that_is_cut_off": (
            opened(encoded("L", (99, 99), "PNG")[:-40]),
            "the image cannot be decoded: image file is truncated",
        ),
        "levels_of_12_bits": (opened(grey_tiff(258, 12)), "or 12 bits"),
        "levels_whose_0_is_white": (opened(grey_tiff(262, 0)), "with 0 as white"),
    },
    lambda image: Preprocess(8)(image),
    "preprocessing_{}",
)


table(
    {
        "to_no_pixels": (
            0,
            "image_size must be a whole number of at least 1 and at most 16384, not 0",
        ),
        "to_half_a_pixel": (
            8.5,
            "image_size must be a whole number of at least 1 and at most 16384, not 8.5",
        ),
    },
    lambda size: Preprocess(size)(Image.new("RGB", (9, 9))),
    "preprocessing_{}",
)


table(
    {
        "levels_from_0_to_1": (torch.rand(3, 8, 8), "a Tensor of .3, 8, 8., torch.float32"),
        "a_picture_with_alpha": (torch.zeros(4, 8, 8).byte(), "a Tensor of .4, 8, 8., torch.uint8"),
        "channels_last": (torch.zeros(1, 8, 8, 3).byte(), "a Tensor of .1, 8, 8, 3., torch.uint8"),
        "an_array": (np.zeros((3, 8, 8), np.float32), "a ndarray of .3, 8, 8., float32"),
    },
    lambda images: normalize(images),
    "normalizing_{}",
    r"images must be \(..., 3, H, W\), torch.uint8, not {}",
)


@attack(code=0)
def a_numpy_number_as_the_side_that_is_enough(folder):
    assert read(encoded("L", (64, 64), "JPEG"), np.int64(9)).size == (16, 16)


@attack(code=0)
def preprocessing_while_the_default_dtype_is_bfloat16(folder):
    torch.set_default_dtype(torch.bfloat16)
    mean, std = (torch.tensor(numbers, dtype=torch.float32) for numbers in (MEAN, STD))
    assert torch.equal(Preprocess(8)(Image.new("RGB", (9, 9)))[:, 0, 0], -mean / std)


UNKNOWN = "not a picture that can be read"
table(
    {
        "jpeg_of_a_head_and_zeros": (b"\xff\xd8\xff", 64 << 20, UNKNOWN),
        "gif_of_a_head_and_zeros": (b"GIF89a\x10\0\x10\0\0\0\0", 64 << 20, UNKNOWN),
        "webp_of_46_bytes_and_99_megapixels": (WEBP, 46, "less than 60 megapixels"),
        "picture_of_floating_point_numbers": (
            encoded("F", (9, 9), "TIFF"), 0, "its levels have 32 bits and no fixed range"
        ),
        "pfm_of_floating_point_numbers": (
            b"Pf 1 1 -1 0000", 0, "its levels have 32 bits and no fixed range"
        ),
        "tiff_of_12_bits": (grey_tiff(258, 12), 0, "or 12 bits"),
        "tiff_whose_0_is_white": (grey_tiff(262, 0), 0, "with 0 as white"),
        "tiff_without_the_strips_of_some_rows": (  # a strip of 5 rows for 9
            encoded("L", (9, 9), "TIFF").replace(b"\x16\1\4\0\1\0\0\0\x09", b"\x16\1\4\0\1\0\0\0\5"),
            0,
            "it lacks the strips of some rows",
        ),
        "tiff_whose_levels_have_a_sign": (
            encoded("L", (9, 9), "TIFF", tiffinfo={339: 2}), 0, "or a sign"
        ),
        "tiff_of_16_bits_in_planes": (
            encoded("RGB", (9, 9), "TIFF", tiffinfo={284: 2}).replace(b"\10\0" * 3, b"\20\0" * 3),
            0,
            "or in planes",
        ),
    },
    lambda head, size: read(head.ljust(size, b"\0")),
    "a_{}",
    seconds=2,
)  # fmt: skip


def read_heic(width, height):
    """Read a HEIC of 64 x 64 pixels whose header gives another size."""
    size = struct.pack(">II", 64, 64)
    read(heic(Image.new("RGB", (64, 64))).replace(size, struct.pack(">II", width, height)))


table(
    {
        "says_that_it_is_too_large": (8000, 8000, "less than 60 megapixels"),
        "is_larger_than_it_says": (9, 9, "damaged: .*[Ii]mage size"),
    },
    read_heic,
    "a_heic_that_{}",
    seconds=2,
)


@attack(code=0)
def a_heic_that_was_just_written_into_memory(folder):
    file = io.BytesIO()
    file.write(heic(Image.new("RGB", (64, 64))))
    assert read(file).size == (64, 64)


@attack(says="not a picture that can be read", mb=200)
def a_webp_of_four_gigabytes(folder):
    Path("a.webp").write_bytes(encoded("RGB", (9, 9), "WEBP"))
    os.truncate("a.webp", 1 << 32)
    check("a.webp")


@attack(says="its number of pixels is more than twice PIL.Image.MAX_IMAGE_PIXELS, 1,000")
def a_picture_above_a_limit_that_the_user_has_set_for_pillow(folder):
    Image.MAX_IMAGE_PIXELS = 1000
    read(encoded("L", (99, 99), "PNG"))


@attack(code=0)
def a_lazily_opened_picture_of_several_records_that_threads_read(folder):
    file = io.BytesIO(encoded("RGB", (400, 400), "PNG", compress_level=0))
    picture, part = Image.open(file), file.read
    file.read = lambda size: time.sleep(0.01) or part(size)  # so that the threads meet
    pairs = open_pairs([(picture, "a cup")] * 4)
    torch.set_num_threads(2)
    found = [*in_threads(lambda batch: read_all(pairs.image, batch), range(4), 1)]
    assert not any(bad for *_, bad in found), found
    assert all(image.getcolors() == [(160_000, (0, 0, 0))] for _, [image], _ in found)


def clear(depth, colour, level, pixel):
    """A PNG of one pixel. level: the transparent one."""
    data = png_chunk(b"tRNS", level), png_chunk(b"IDAT", zlib.compress(b"\0" + pixel))
    return png(1, 1, *data, png_chunk(b"IEND", b""), bits=depth, colour=colour)


def white(data):
    """Read a transparent picture, and find white."""
    assert read(data).getpixel((0, 0)) == (255, 255, 255)


TRANSPARENT = {
    "a_16_bit_picture_with_a_transparent_level": (
        encoded("I;16", (9, 9), "PNG", transparency=0),
        "",
    ),
    "a_tiff_of_a_palette_whose_pixels_are_all_transparent": (encoded("PA", (9, 9), "TIFF"), ""),
    "a_png_of_2_bits_whose_pixel_is_transparent": (clear(2, 0, b"\0\1", b"\x40"), ""),
    "a_png_of_4_bits_whose_pixel_is_transparent": (clear(4, 0, b"\0\1", b"\x10"), ""),
    "a_png_of_16_bits_whose_pixel_is_transparent": (clear(16, 2, b"colour", b"colour"), ""),
}
table(TRANSPARENT, white, code=0)


@attack(code=0)
def preprocessing_a_tiff_that_lies(folder):
    exif, picture = Image.Exif(), np.zeros((10, 20, 3), np.uint8)
    exif[0x112] = 6
    picture[:5, :10] = 255
    data = file_of(Image.fromarray(picture), "TIFF", exif=exif)
    upright = read(data)
    assert upright.size == (10, 20) and upright.getpixel((9, 0)) == (255, 255, 255)
    assert torch.equal(Preprocess(8)(Image.open(io.BytesIO(data))), Preprocess(8)(upright))
