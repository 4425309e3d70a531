"""Pictures to tensors: what the released CLIP does, for pictures of any kind.

Evaluation resizes the short side to S (bicubic), cuts the middle S x S, and normalises each channel
with the mean and deviation of CLIP's training pictures. Training cuts a random square instead and
does nothing else (CLIP, section 2.4): no flip ("facing right"), no colour jitter ("a red heart").
A crop stays 8 bits, a quarter of the bytes to carry, until `normalise` has it on the device.
Left out: everything stronger. Two things differ from the released code, which drops both:

- transparency is drawn on white, as a page would show it. The colour under it is arbitrary, mostly
  black, so dropping the alpha channel shows what nobody was meant to see;
- a photograph is turned the way its EXIF orientation says. Otherwise a phone's pictures lie down.
"""

import functools

import numpy as np
import torch
from PIL import ExifTags, Image

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
# EXIF's number for how the camera was held -> what sets the picture upright
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_MANY_PIXELS = 1 << 24  # of the resized picture: 50 MB
_MEAN = torch.tensor(MEAN).view(3, 1, 1)
_STD = torch.tensor(STD).view(3, 1, 1)


def to_rgb(image):
    """A PIL image of any mode -> mode RGB, upright, on white where it was transparent.

    The image itself where it is all of this: copying a photograph takes a tenth of its decoding.
    """
    try:
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    except Exception:  # Pillow raises many kinds; broken EXIF is no reason to lose the picture
        turn = None
    if turn is None and image.mode == "RGB" and "transparency" not in image.info:
        return image
    if turn is not None:
        image = image.transpose(turn)
    if image.mode.startswith("I"):  # 16 bits: convert() would clip all above 255 to white
        levels = np.asarray(image).astype(np.float64) / 257
        image = Image.fromarray(np.clip(np.rint(levels), 0, 255).astype(np.uint8))
    if image.mode in ("La", "PA"):
        image = image.convert("LA" if image.mode == "La" else "RGBA")
    if image.mode in ("RGBA", "RGBa", "LA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    image = image.convert("RGB")
    image.info = {}  # what has been done must not be done again
    return image


def evaluation(image_size):
    """-> a function from a PIL image to (3, S, S) float32: the middle square, normalised."""

    def preprocess(image):
        image = to_rgb(image)
        width, height = image.size
        short = min(width, height)
        w, h = image_size * width // short, image_size * height // short  # the resized picture's
        left, top = round((w - image_size) / 2), round((h - image_size) / 2)
        square = (left, top, left + image_size, top + image_size)
        if w * h <= _MANY_PIXELS:
            image = image.resize((w, h), Image.Resampling.BICUBIC).crop(square)
            return normalise(torch.from_numpy(_planes(image)))
        # one pixel high and 100,000 wide: compute the square alone, equal but for rounding
        box = [edge * scale for edge, scale in zip(square, 2 * (width / w, height / h))]
        return normalise(torch.from_numpy(_planes(_resize(image, image_size, box))))

    return preprocess


def training_crop(image, image_size, rng, scale=(1.0, 1.0), out=None):
    """A random square of a PIL image -> (3, S, S) uint8: a tensor, or `out`, a numpy array.

    Its side is u times the short side, u uniform in `scale`, and its place is uniform; (1, 1) is the
    paper's. rng: a numpy Generator, of which three numbers are drawn. ValueError for another scale
    than 0 < low <= high <= 1.
    """
    low, high = scale
    if not 0 < low <= high <= 1:
        raise ValueError(f"scale must be two numbers with 0 < low <= high <= 1, not {scale}")
    image = to_rgb(image)
    side = rng.uniform(low, high) * min(image.size)
    left, top = (rng.uniform(0, 1) * (length - side) for length in image.size)
    box = (left, top, left + side, top + side)
    planes = _planes(_resize(image, image_size, box), out)
    return torch.from_numpy(planes) if out is None else planes


def normalise(images):
    """Pictures (..., 3, H, W) uint8 -> float32 on their device, by CLIP's means and deviations.

    Bit for bit the same on every device.
    """
    levels, mean, std = _constants(images.device)
    # in place: 5 times faster
    return images.to(torch.float32).div_(levels).sub_(mean).div_(std)


@functools.lru_cache
def _constants(device):
    """255, the means and the deviations on a device. 255 is a tensor because CUDA multiplies by the
    reciprocal of a number of Python's (torch 2.13), which rounds differently."""
    return torch.tensor(255.0, device=device), _MEAN.to(device), _STD.to(device)


def unnormalise(x):
    """(3, H, W) float -> (H, W, 3) uint8 array: the picture that a tensor was made of."""
    x = x.detach().float().cpu() * _STD + _MEAN
    return (x * 255).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()


def _resize(image, image_size, box):
    """The box (left, top, right, bottom) of an image, in fractions of pixels, made S x S."""
    return image.resize((image_size, image_size), Image.Resampling.BICUBIC, box)


def _planes(image, out=None):
    """An RGB image -> (3, H, W) uint8, a numpy array: `out` if it is given."""
    out = np.empty((3, image.height, image.width), np.uint8) if out is None else out
    for plane, band in zip(out, image.split()):  # Pillow separates them faster than numpy
        plane[:] = np.asarray(band)
    return out
