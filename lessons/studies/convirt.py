"""What ConVIRT does and CLIP leaves out: it takes one sentence of a caption, and changes the crops.

ConVIRT is Zhang et al. 2020, arXiv 2010.00747, for X-rays. `draw` and `crop` replace the loader's
functions of the same names.
"""

import math
import re
from collections import namedtuple

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from miniclip.data import loader
from miniclip.data.transforms import moved


def sentences(caption: str) -> list[str]:
    """The sentences of a caption on one line, as `one_line` makes it: list of str.

    A sentence ends with a full stop, ! or ? if white space or the end of the caption follows. So
    "3.5 cm" is not divided, but "St. Lucia" is. Left out: abbreviations, other scripts' full stops.
    """
    return re.split("(?<=[.!?]) ", caption)


def draw(pairs, i, seed, epoch):
    """The loader's `draw` with one sentence of the caption (CLIP, section 2.3). Raises BadPicture."""
    rng, caption = loader.draw(pairs, i, seed, epoch)
    own = sentences(caption)
    return rng, own[int(rng.integers(len(own)))]


def crop(pairs, i, rng, image_size, scale, out=None):
    """The loader's `crop`, changed by a random Augmentation. Raises BadPicture."""
    how = Augmentation.draw(rng)
    square = loader.crop(pairs, i, rng, image_size, scale, out)
    planes = np.asarray(square).transpose(1, 2, 0)  # the same memory
    planes[:] = augment(Image.fromarray(planes.copy()), how)
    return square


# flip: whether it is mirrored; turn: in radians; size: a factor; shift: (x, y), shares of the side;
# brightness, contrast: factors; sigma: of the blur, in pixels of a picture that is 224 pixels wide
UNCHANGED = dict(
    flip=False, turn=0.0, size=1.0, shift=(0.0, 0.0), brightness=1.0, contrast=1.0, sigma=0.0
)


class Augmentation(namedtuple("Augmentation", UNCHANGED, defaults=UNCHANGED.values())):
    """How a crop is changed."""

    @classmethod
    def draw(cls, rng: np.random.Generator):
        """A random one, in ConVIRT's ranges (appendix)."""
        return cls(
            flip=rng.uniform() < 0.5,
            turn=math.radians(rng.uniform(-20, 20)),
            size=rng.uniform(0.95, 1.05),
            shift=(rng.uniform(-0.1, 0.1), rng.uniform(-0.1, 0.1)),
            brightness=rng.uniform(0.6, 1.4),
            contrast=rng.uniform(0.6, 1.4),
            sigma=rng.uniform(0.1, 3.0),
        )


def augment(image, how):
    """A square RGB image, changed as an Augmentation says, in the order of its fields.

    What the turn or the shift uncovers is white. ConVIRT's pictures are 224 pixels wide, so the
    sigma of its blur is scaled to the width of this one.
    """
    if how.flip:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    image = moved(image, how.turn, how.size, how.shift)
    image = ImageEnhance.Brightness(image).enhance(how.brightness)
    image = ImageEnhance.Contrast(image).enhance(how.contrast)
    return image.filter(ImageFilter.GaussianBlur(how.sigma * image.width / 224))
