"""Pictures to tensors: the released code's numbers to the bit, and no kind of picture refused."""

import io
import pickle
import struct

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from miniclip.data.transforms import (
    MEAN,
    STD,
    Preprocess,
    normalize,
    to_rgb,
    training_crop,
)
from tests.data.tars import file_of, noise

MODES = "1 L P RGB RGBA RGBX RGBa LA CMYK YCbCr LAB HSV I;16 I;16L I;16B I;16N".split()
sides = st.integers(1, 90)


def unnormalize(x):
    """(3, H, W) float32 -> (H, W, 3) uint8 array: the picture that a tensor was made of."""
    mean, std = (torch.tensor(numbers).view(3, 1, 1) for numbers in (MEAN, STD))
    return ((x * std + mean) * 255).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()


def in_mode(image, mode):
    """The image in any of MODES, through the conversions that Pillow has."""
    if mode.startswith("I;16"):
        return image.convert("L").convert("I;16").convert(mode)
    return image.convert(mode)


# --- evaluation


@given(
    st.tuples(sides, sides)
    | st.sampled_from([(640, 480), (480, 641), (224, 224), (336, 500), (100, 100)]),
    st.sampled_from([8, 32, 224, 336]),
)
def test_evaluation_equals_open_clip_s_to_the_bit(shape, size):
    transform = pytest.importorskip("open_clip.transform").image_transform(size, is_train=False)
    for image in (noise(*shape), noise(*shape).convert("L")):
        assert torch.equal(Preprocess(size)(image), transform(image))


@pytest.mark.parametrize("shape", [(4000, 3), (2, 3000)])
def test_a_long_strip_is_the_same_without_resizing_all_of_it(shape, monkeypatch):
    image = noise(*shape)
    whole = unnormalize(Preprocess(64)(image)).astype(int)
    monkeypatch.setattr("miniclip.data.transforms._MANY_PIXELS", 0)
    part = unnormalize(Preprocess(64)(image)).astype(int)
    # Pillow clips to 8 bits between its two passes, and takes the cheaper one first
    assert abs(whole - part).mean() < 1, abs(whole - part).mean()


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (700, 1), (200_000, 1)])
def test_a_picture_one_pixel_high_is_a_picture(shape):
    assert Preprocess(224)(Image.new("RGB", shape, "red")).shape == (3, 224, 224)
    assert training_crop(Image.new("RGB", shape), 224, np.random.default_rng(0)).shape[1:] == (
        224,
        224,
    )


# --- every kind of picture


@pytest.mark.parametrize("mode", MODES)
def test_a_picture_of_any_mode_is_a_picture_and_a_colour_stays_the_colour_it_is(mode):
    image = in_mode(noise(20, 10), mode)
    assert image.mode.startswith(mode[:4])
    assert Preprocess(8)(image).shape == (3, 8, 8) and to_rgb(image).size == (20, 10)
    if mode in ("RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "HSV", "LAB"):
        image = in_mode(Image.new("RGB", (4, 4), (200, 40, 90)), mode)
        assert np.abs(np.array(to_rgb(image).getpixel((1, 1))) - (200, 40, 90)).max() <= 3


@pytest.mark.parametrize("mode, kind", [("I;16", "<u2"), ("I;16B", ">u2"), ("I", "<i4")])
def test_sixteen_bits_keep_their_highlights_and_what_is_beyond_is_black_or_white(mode, kind):
    levels = [0, 257, 128 * 257, 65535] + [-70_000, 2**31 - 1] * (mode == "I")
    data = np.array(levels, kind).tobytes()
    image = to_rgb(Image.frombytes(mode, (len(levels), 1), data))
    assert [p[0] for p in np.asarray(image)[0]] == [0, 1, 128, 255, 0, 255][: len(levels)]


@given(st.integers(0, 255), st.integers(0, 255))
def test_what_is_transparent_is_white(alpha, level):
    grey, colour = (level, alpha), (level, level, level, alpha)
    premultiplied = 255 + (level - 255) * alpha / 255
    for mode, kind, bands in (
        ("LA", "LA", grey), ("LA", "La", grey), ("RGBA", "RGBA", colour), ("RGBA", "RGBa", colour)
    ):  # fmt: skip
        found = np.array(to_rgb(Image.new(mode, (2, 2), bands).convert(kind)).getpixel((0, 0)))
        assert np.abs(found - premultiplied).max() <= (1 if kind.isupper() else 2), (kind, found)


def test_a_palette_with_a_transparent_entry_is_drawn_on_white():
    image = Image.new("P", (4, 2), 1)
    image.putpalette([10, 20, 30, 200, 40, 90])
    image.putpixel((0, 0), 0)
    image = to_rgb(Image.open(io.BytesIO(file_of(image, transparency=0))))
    assert image.getpixel((0, 0)) == (255, 255, 255) and image.getpixel((1, 1)) == (200, 40, 90)
    clear = Image.new("RGBA", (4, 2), (10, 20, 30, 0)).quantize(2)  # the palette itself has alpha
    assert clear.mode == "P" and to_rgb(clear).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("strip_pixels", [1, 24, 1 << 20])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_stands_up(orientation, strip_pixels, monkeypatch):
    monkeypatch.setattr("miniclip.data.transforms._STRIP_PIXELS", strip_pixels)
    lying = noise(8, 4)
    exif = Image.Exif()
    exif[0x0112] = orientation
    flip, turn = Image.Transpose.FLIP_LEFT_RIGHT, -90 * [0, 0, 2, 2, 3, 1, 1, 3][orientation - 1]
    # the eight ways to look at a picture, in the order of the EXIF standard
    mirrored = lying.transpose(flip) if orientation in (2, 4, 5, 7) else lying
    standing = mirrored.rotate(turn, expand=True)
    once = to_rgb(Image.open(io.BytesIO(file_of(lying, exif=exif))))
    assert np.array_equal(once, standing) and np.array_equal(to_rgb(once), standing)


# orientation 6 beside a maker's name that is a fraction, for which Pillow 13.0's ImageOps.exif_transpose
# fails: it encodes all tags again
TAGS = b"".join(struct.pack("<HHII", *tag) for tag in [(0x10F, 5, 1, 7), (0x112, 3, 1, 6)])
EXIF = {
    b"no exif at all": None,
    b"II*\0\x08\0\0": None,
    b"MM\0*\0\0\0\x08\xff\xff\1\1": None,
    b"II*\0\x08\0\0\0\x02\0" + TAGS + bytes(4): Image.Transpose.ROTATE_270,
}


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("exif", EXIF)
def test_broken_exif_is_no_reason_to_lose_a_picture_or_to_leave_it_lying(exif):
    lying, turn = noise(8, 4), EXIF[exif]
    file = io.BytesIO(file_of(lying, exif=b"Exif\0\0" + exif))
    assert np.array_equal(to_rgb(Image.open(file)), lying.transpose(turn) if turn else lying)


def test_what_lies_around_the_first_frame_of_an_animation_is_white():
    red = Image.new("RGBA", (9, 9))
    red.paste("red", (0, 0, 4, 4))
    webp = file_of(red, "WEBP", save_all=True, append_images=[red.rotate(90)], lossless=True)
    gif = file_of(Image.new("P", (4, 4)), "GIF")
    gif = gif[:6] + struct.pack("<HH", 9, 9) + gif[10:13] + b"\xff\0\0" + gif[16:]
    images = [Image.open(io.BytesIO(data)) for data in (webp, gif)]
    assert to_rgb(pickle.loads(pickle.dumps(images[1]))).getpixel((3, 3)) == (255, 0, 0)
    assert [to_rgb(image).getpixel((k, k)) for image in images for k in (3, 4)] == [
        (255, 0, 0),
        (255, 255, 255),
    ] * 2


# --- training


def places(width, height):
    """A picture whose pixels say where they are: red is x, green is y."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return Image.fromarray(np.stack([x, y, y], -1).astype(np.uint8))


def test_the_paper_s_crop_takes_the_whole_short_side():
    rng = np.random.default_rng(0)
    crops = np.stack([training_crop(places(80, 50), 50, rng).permute(1, 2, 0) for _ in range(60)])
    x, y = crops[..., 0].astype(int), crops[..., 1].astype(int)
    assert abs(y - np.arange(50)[:, None]).max() <= 1
    assert set(np.unique(x[:, :, 49] - x[:, :, 0])) <= {48, 49, 50}
    assert x[:, 0, 0].min() <= 3 and x[:, 0, 0].max() >= 27


def test_crops_have_every_side_and_place_and_none_outside():
    rng = np.random.default_rng(0)
    crops = [training_crop(places(80, 50), 10, rng, (0.4, 1)) for _ in range(400)]
    crops = torch.stack(crops).permute(0, 2, 3, 1).numpy().astype(float)
    x, y = crops[..., 0], crops[..., 1]
    side = (x[:, 5, 9] - x[:, 5, 0]) * 10 / 9
    assert side.min() < 23 and side.max() > 47, (side.min(), side.max())
    assert abs(side.mean() - 35) < 1.5 and abs(side - (y[:, 9, 5] - y[:, 0, 5]) * 10 / 9).max() < 4
    assert x.min() < 3 and x.max() > 76 and y.min() < 3 and y.max() > 46
    assert abs(x.mean() - 39.5) < 2 and abs(y.mean() - 24.5) < 2


def test_a_whole_square_is_its_own_crop():
    image, out = noise(32, 32), np.zeros((2, 3, 32, 32), np.uint8)
    crop = training_crop(image, 32, np.random.default_rng(0))
    assert torch.equal(normalize(crop), Preprocess(32)(image))
    assert np.array_equal(unnormalize(normalize(crop)), image) and crop.is_contiguous()
    training_crop(image, 32, np.random.default_rng(0), out=out[1])
    assert np.array_equal(out[1], crop) and not out[0].any()


def test_a_picture_that_is_as_it_should_be_is_not_copied_and_another_not_changed():
    image = noise(8, 4)
    image.info["comment"] = "kept"
    assert to_rgb(image) is image and image.info == {"comment": "kept"}
    image.info["transparency"] = (1, 2, 3)
    assert to_rgb(image) is not image and to_rgb(image).info == {}


def test_the_size_may_be_a_small_number_of_numpy():
    assert Preprocess(np.uint8(224))(Image.new("RGB", (400, 300))).shape == (3, 224, 224)
