"""Attacks on pictures: small files that take long, or much memory, to decode; other people's loaders."""

import io
import os
import pickle
from pathlib import Path

import torch
from PIL import Image

from miniclip.data import image_io
from miniclip.data.transforms import evaluation
from tests.attacks import attack

SOS = b"\xff\xda"


def encoded(mode, size, kind, **options):
    file = io.BytesIO()
    Image.new(mode, size).save(file, kind, **options)
    return file.getvalue()


def read(data):
    return image_io.read(io.BytesIO(data))


@attack(says="a JPEG of more than 100 scans", seconds=5)
def a_jpeg_of_six_thousand_scans(folder):
    data = encoded("L", (4000, 4000), "JPEG", progressive=True)
    at = data.rindex(SOS)
    read(data[:at] + data[at:-2] * 6000 + data[-2:])


@attack(code=0)
def a_jpeg_whose_comment_and_end_look_like_scans(folder):
    data = encoded("RGB", (40, 30), "JPEG", comment=SOS * 200, progressive=True)
    assert read(data + SOS * 200).size == (40, 30)


@attack(code=0, seconds=20, mb=800, slow=True)
def a_16_bit_picture_of_100_megapixels(folder):
    assert read(encoded("I;16", (9999, 10_000), "PNG")).mode == "RGB"


@attack(code=0, seconds=20, mb=1000, slow=True)
def a_lying_transparent_picture_of_100_megapixels(folder):
    exif = Image.Exif()
    exif[0x112] = 6
    assert read(encoded("RGBA", (9999, 10_000), "PNG", exif=exif)).size == (10_000, 9999)


@attack(code=0)
def a_picture_of_two_thousand_frames(folder):
    first, *frames = (Image.new("L", (64, 64), k % 256) for k in range(2000))
    for kind in ("GIF", "PNG"):
        file = io.BytesIO()
        first.save(file, kind, save_all=True, append_images=frames)
        assert read(file.getvalue()).getpixel((0, 0)) == (0, 0, 0)


@attack(says="preprocess takes a PIL image, not a str; PIL.Image.open")
def preprocessing_a_path(folder):
    evaluation(8)("cat.jpg")


@attack(code=0)
def preprocessing_is_sent_to_other_processes(folder):
    preprocess = pickle.loads(pickle.dumps(evaluation(8)))
    picture = Image.new("RGB", (20, 9), "red")
    assert torch.equal(preprocess(picture), evaluation(8)(picture))


WEBP = """5249464626000000574542505650384c190000002f0ea7c319075081540820000a1a02495bbced8f8f88e87f
    0000"""


@attack(says="60 megapixels or more")
def a_webp_of_46_bytes_and_99_megapixels(folder):
    read(bytes.fromhex(WEBP))


@attack(says="not a picture that can be read", mb=200)
def a_webp_of_four_gigabytes(folder):
    Path("a.webp").write_bytes(encoded("RGB", (9, 9), "WEBP"))
    os.truncate("a.webp", 1 << 32)
    image_io.check("a.webp")


@attack(says="its levels have 32 bits and no fixed range")
def a_picture_of_floating_point_numbers(folder):
    read(encoded("F", (9, 9), "TIFF"))


@attack(code=0)
def a_16_bit_picture_with_a_transparent_level(folder):
    data = encoded("I;16", (9, 9), "PNG", transparency=0)
    assert read(data).getpixel((0, 0)) == (255, 255, 255)
