"""Pictures of any kind to tensors, as the released CLIP does it (CLIP, section 2.4).

Evaluation resizes the short side to S (bicubic), cuts the middle S x S, and normalizes each channel
with the mean and deviation of CLIP's training pictures. Training cuts a random square instead. This
is the paper's only augmentation: a flip would contradict a caption such as "facing right", and a
change of colours "a red heart". ConVIRT, CLIP's predecessor, has both, for X-rays
(lessons/studies/convirt.py).

A crop stays in 8 bits until it is on the model's device, where `normalize` turns it into floats.
So only a quarter of the bytes have to be copied to the device. Icons, which have no colour, may be
redrawn instead of cropped (`redraw`): turned, scaled, shifted and thickened. Left out: all stronger
augmentation. The released code ignores transparency and EXIF, and here both count:

- Transparent parts are white, as on a page. The colour stored under them is arbitrary, mostly
  black, and dropping the alpha channel would show it.
- A photograph is turned the way its EXIF orientation says, because phones store pictures lying
  down.
"""

import dataclasses
import functools
import math

import numpy as np
import torch
from PIL import ExifTags, Image, ImageFilter

from miniclip.common import ALSO, described, refuse, refusing

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
# EXIF's orientation -> what turns the picture upright. ImageOps.exif_transpose (Pillow 13.0) is not
# used, because it also encodes the EXIF again, which fails if another tag is damaged. With it, 407
# of 20,000 pictures with 1 to 3 changed bytes of EXIF were not turned.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Pillow scales the levels of some PNGs to 8 bits, but (in 13.0) not the level that is transparent.
# {how the PNG stores levels: the function that scales the transparent level}
_SCALED = {
    "L;2": lambda level: level % 4 * 85,
    "L;4": lambda level: level % 16 * 17,
    "RGB;16B": lambda levels: tuple(level >> 8 for level in levels),
}
ODD_LEVELS = (  # see has_odd_levels
    "32 bits and no fixed range, or 12 bits, or a sign, or 16 bits with 0 as white or in planes"
)
BICUBIC = Image.Resampling.BICUBIC
LARGEST = 1 << 14  # pixels per side of a picture for a model
_MANY_PIXELS = 1 << 24  # a resized picture of so many pixels takes 50 MB
_STRIP_PIXELS = 1 << 20  # converted at a time: each intermediate picture takes 4 MB


def to_rgb(image: Image.Image) -> Image.Image:
    """A PIL image of any mode -> mode RGB, upright, and white where it was transparent.

    If the image has all these properties already, it is returned itself and not a copy, because a
    copy would take another tenth of the time that decoding takes. Any other image is converted
    strip by strip, so that there are only two copies of a large image in memory.
    """
    if image.format == "PNG" and image.tile and "transparency" in image.info:
        scaled = _SCALED.get(image.tile[0][3], lambda level: level)
        image.info["transparency"] = scaled(image.info["transparency"])
    file = getattr(image, "fp", None)
    closed = getattr(image, "tile", None) and (file is None or file.closed)
    refuse(
        {
            "its file is closed; give the path, or call load() before it is closed": closed,
            "the image has no pixels": 0 in image.size,
        }
    )
    # Around a first frame that is smaller than the picture, an animation is transparent. Pillow
    # (13.0) shows a WebP black there, and a GIF in the first of its colours
    if (
        image.format == "WEBP"
        # not loaded yet; older versions of Pillow have the other name
        and vars(image).get("_im", vars(image).get("im")) is None
        and image.rawmode == "RGBX"
        and image.is_animated
    ):
        image.rawmode = image._mode = "RGBA"
    image.load()  # before EXIF is read, because this already turns a TIFF upright
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # damaged EXIF raises many kinds of errors; the picture is used nevertheless
        orientation = None
    if orientation in _TURNS:
        image = image.transpose(_TURNS[orientation])
        # without the EXIF, because the picture would be turned again
        image.info = {key: x for key, x in image.info.items() if key == "transparency"}
    left, top, right, bottom = frame = (
        image.dispose_extent  # a copy of the GIF may lack it
        if image.format == "GIF" and hasattr(image, "dispose_extent") and image.tell() == 0
        else (0, 0, *image.size)
    )
    if image.mode == "RGB" and "transparency" not in image.info and frame == (0, 0, *image.size):
        return image
    upright = Image.new("RGB", image.size, "white")
    rows = max(1, _STRIP_PIXELS // image.width)
    for y in range(top, bottom, rows):
        box = (left, y, right, min(y + rows, bottom))
        upright.paste(_on_white(image.crop(box)), box)
    return upright


def _on_white(image):
    """A PIL image of any mode -> mode RGB, white where it was transparent."""
    if image.mode.startswith("I"):  # 16 bits: convert() would turn all levels above 255 white
        levels = np.asarray(image, np.float64) / 257
        levels[levels == image.info.get("transparency", -257) / 257] = 255
        image = Image.fromarray(np.clip(np.rint(levels), 0, 255).astype(np.uint8))
    image = image.convert("LA") if image.mode == "La" else image  # La converts to no other mode
    if image.has_transparency_data:
        page = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(page, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def has_odd_levels(image: Image.Image) -> bool:
    """Whether Pillow (13.0) would convert the levels of an image to wrong ones.

    This is so for levels without a fixed range, and for four kinds of TIFF: a grey one of 12 bits
    would be nearly black; a grey one of 16 bits with 0 as white would be inverted; the sign of
    levels would be taken for a high level; and of 16 bits in planes (all red levels, then all green
    ones) that are not compressed only the left half would be read, stretched.
    """
    tags, tag = getattr(image, "tag_v2", {}), ExifTags.Base
    is_16_bits = image.mode[:4] == "I;16" or image.mode == "I" and image.format in ("PNG", "PPM")
    return (
        2 in tags.get(tag.SampleFormat, ())
        or 16 in tags.get(tag.BitsPerSample, ())
        and (tags.get(tag.PlanarConfiguration), tags.get(tag.Compression)) == (2, 1)
        or image.mode.startswith(("F", "I"))
        and not (
            is_16_bits
            and tags.get(tag.BitsPerSample) != (12,)
            and tags.get(tag.PhotometricInterpretation) != 0
        )
    )


@dataclasses.dataclass(frozen=True)
class Preprocess:
    """Turns a PIL image into (3, S, S) float32: its middle square, of side S = image_size,
    normalized."""

    image_size: int

    def __call__(self, image: Image.Image) -> torch.Tensor:
        return normalize(self.square(image))

    def square(self, image: Image.Image) -> torch.Tensor:
        """The middle square before it is normalized: (3, S, S) uint8."""
        size, kind = self.image_size, type(image).__name__
        refuse(
            {
                f"preprocess takes a PIL image, not a {kind}; PIL.Image.open gives one": (
                    not isinstance(image, Image.Image)
                )
            }
        )
        refuse(
            {
                f"image_size must be a whole number of at least 1 and at most {LARGEST}, not {size!r}": (
                    not isinstance(size, ALSO[int]) or size is True or not 1 <= size <= LARGEST
                ),
                f"the levels of the image have {ODD_LEVELS}; convert them to 8 bits": (
                    has_odd_levels(image)
                ),
            }
        )
        with refusing("the image cannot be decoded"):
            image = to_rgb(image)
        size = int(size)  # products of numpy's small numbers would wrap around
        width, height = image.size
        short = min(width, height)
        w, h = size * width // short, size * height // short  # the size of the resized picture
        left, top = round((w - size) / 2), round((h - size) / 2)
        square = (left, top, left + size, top + size)
        if w * h <= _MANY_PIXELS:
            return _planes(image.resize((w, h), BICUBIC).crop(square))
        # for example 1 pixel high and 100,000 wide: compute only the square, which differs by
        # rounding
        box = [edge * scale for edge, scale in zip(square, 2 * (width / w, height / h))]
        return _planes(image.resize((size, size), BICUBIC, box))


def training_crop(image, image_size, rng, scale=(1.0, 1.0), out=None):
    """A random square of a PIL image -> (3, S, S) uint8, in the memory of `out` if that is given.

    The side of the square is u times the picture's short side, where u is uniform in `scale`. The
    place of the square is uniform. The paper's crop is the default scale, (1, 1). rng: a numpy
    Generator, from which three numbers are drawn. Raises UserError for a scale that is not two
    numbers from 0 to 1, and for an image whose levels cannot be converted to 8 bits.
    """
    is_pair = isinstance(scale, (tuple, list)) and len(scale) == 2
    refuse(
        {
            f"scale must be (low, high), above 0 and at most 1, not {scale}": not (
                is_pair and 0 < scale[0] <= scale[1] <= 1
            ),
            f"the levels of the image have {ODD_LEVELS}; convert them to 8 bits": (
                has_odd_levels(image)
            ),
        }
    )
    image = to_rgb(image)
    side = rng.uniform(*scale) * min(image.size)
    left, top = (rng.uniform(0, 1) * (length - side) for length in image.size)
    box = (left, top, left + side, top + side)
    return _planes(image.resize((image_size, image_size), BICUBIC, box), out)


def random_redrawing(rng: np.random.Generator) -> dict:
    """Random keyword arguments for `redraw`, which draw an icon a little differently. With wider
    ranges zero-shot accuracy was no better (docs/icons/first/about.md)."""
    return dict(
        ink=rng.uniform(0, 0.8) if rng.uniform() < 0.3 else 0.0,
        shift=(rng.uniform(-0.075, 0.075), rng.uniform(-0.075, 0.075)),
        turn=rng.uniform(-0.1, 0.1),
        size=rng.uniform(0.8, 1.15),
    )


def redraw(image, image_size, turn=0.0, size=1.0, shift=(0.0, 0.0), ink=0.0, out=None):
    """A picture of dark strokes on white, redrawn -> (3, S, S) uint8.

    out: a numpy array for the result, or None. turn: an angle in radians. size: a factor. shift:
    (x, y) as shares of the side. ink: how much the strokes are thickened, from 0 for not at all to
    1 for a pixel on each side. What the turn or the shift uncovers is white, and so is what was
    transparent. Raises UserError for a size that is not above 0, an ink beyond 0 to 1, and an
    infinite or undefined turn or shift.
    """
    refuse(
        {
            f"size must be above 0, ink from 0 to 1, and turn and shift (x, y) finite, not {size}, "
            f"{ink}, {turn} and {shift}": not (
                0 < size < math.inf
                and 0 <= ink <= 1
                and len(shift) == 2
                and all(map(math.isfinite, (turn, *shift)))
            ),
            "the image has no pixels": 0 in image.size,
        }
    )
    image = (image if image.mode in ("L", "RGB") else to_rgb(image)).convert("L")
    image = moved(image, turn, size, shift).resize((image_size, image_size), BICUBIC)
    if ink:
        image = Image.blend(image, image.filter(ImageFilter.MinFilter(3)), ink)
    return _planes(image.convert("RGB"), out)


def normalize(images: torch.Tensor) -> torch.Tensor:
    """Pictures (..., 3, H, W) uint8 -> float32 on their device, normalized as CLIP's pictures
    are. Raises UserError for another shape, or another dtype, whose levels may be from 0 to 1."""
    refuse(
        {
            f"images must be (..., 3, H, W), torch.uint8, not {described(images)}": (
                getattr(images, "dtype", None) != torch.uint8 or images.shape[-3:-2] != (3,)
            )
        }
    )
    levels, mean, std = _constants(images.device)
    # in place: 5 times faster
    return images.to(torch.float32).div_(levels).sub_(mean).div_(std)


@functools.lru_cache
def _constants(device):
    """255, the means and the deviations, as tensors on a device. 255 is a tensor because CUDA would
    multiply by the reciprocal of a Python number (torch 2.13), which rounds differently."""
    mean, std = (  # in float32, because the default dtype may be another one, such as bfloat16
        torch.tensor(numbers, dtype=torch.float32, device=device).view(3, 1, 1)
        for numbers in (MEAN, STD)
    )
    return torch.tensor(255.0, dtype=torch.float32, device=device), mean, std


def moved(image, turn, size, shift):
    """An image turned (radians) and scaled about its middle, then shifted by shares of its
    sides."""
    w, h = image.size
    cos, sin = math.cos(turn) / size, math.sin(turn) / size
    x, y = w * (0.5 + shift[0]), h * (0.5 + shift[1])  # the new place of the middle
    matrix = (cos, sin, w / 2 - cos * x - sin * y, -sin, cos, h / 2 + sin * x - cos * y)
    return image.transform(
        (w, h), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor="white"
    )


def _planes(image, out=None):
    """An RGB image -> (3, H, W) uint8, in the memory of the numpy array `out` if that is given."""
    out = np.empty((3, image.height, image.width), np.uint8) if out is None else out
    refuse(
        {
            f"out must be uint8 (3, {image.height}, {image.width})": (
                out.dtype != np.uint8 or out.shape != (3, image.height, image.width)
            )
        }
    )
    for plane, band in zip(out, image.split()):  # Pillow separates them faster than numpy
        plane[:] = np.asarray(band)
    return torch.from_numpy(out)
