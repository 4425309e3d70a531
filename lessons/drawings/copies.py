"""Changes by which copies of a picture on the web differ from it, for lesson 16 and the tests of near-duplicates.

Each is a function of an RGB picture and of numpy's random generator, and returns another picture.
"""

import io

import numpy as np
from PIL import Image, ImageEnhance


def resized(picture, rng):
    """The picture with sides of another length, 32 to 159 pixels."""
    side = int(rng.integers(32, 160))
    return picture.resize((side, side), Image.BICUBIC)


def cropped(picture, rng):
    """A square from anywhere in the picture, with sides of 90 %."""
    side = round(picture.width * 0.9)
    x, y = (int(v) for v in rng.integers(0, picture.width - side + 1, 2))
    return picture.crop((x, y, x + side, y + side))


def recompressed(picture, rng):
    """The picture after a JPEG file of quality 25 to 59."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=int(rng.integers(25, 60)))
    return Image.open(buffer).convert("RGB")


def recoloured(picture, rng):
    """The picture with another gamma, brightness of each channel, and saturation."""
    pixels = np.asarray(picture) / 255
    pixels = np.clip(pixels ** rng.uniform(0.8, 1.25) * rng.uniform(0.8, 1.15, 3), 0, 1)
    graded = Image.fromarray((255 * pixels).astype(np.uint8))
    return ImageEnhance.Color(graded).enhance(rng.uniform(0.6, 1.4))


CHANGES = (resized, cropped, recompressed, recoloured)
