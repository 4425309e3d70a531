"""Near-duplicates made on purpose, to see whether a detector finds them (CLIP, section 5 in small).

A detector is worth what it finds of what is known to be there, and what it cries out at where nothing
is. So some training pictures are changed as the web changes pictures and mixed among strangers.
"""

import io

import numpy as np
import torch
from PIL import Image, ImageEnhance

from miniclip.evaluation.data_overlap import THRESHOLD, base_emoji, near_duplicates, thumbnails


class Shown:
    """A list of pictures as a source of pictures."""

    def __init__(self, pictures):
        self.pictures = pictures

    def image(self, i):
        """Picture i."""
        return self.pictures[i]


def resized(picture, rng):
    """At another size, 32 to 160 pixels a side."""
    side = int(rng.integers(32, 160))
    return picture.resize((side, side), Image.BICUBIC)


def cropped(picture, rng):
    """A tenth of the side cut off, somewhere."""
    side = round(picture.width * 0.9)
    x, y = (int(v) for v in rng.integers(0, picture.width - side + 1, 2))
    return picture.crop((x, y, x + side, y + side))


def recompressed(picture, rng):
    """Through JPEG of quality 25 to 60."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=int(rng.integers(25, 60)))
    return Image.open(buffer).convert("RGB")


def recoloured(picture, rng):
    """Another gamma, gain of each channel, and saturation."""
    pixels = np.asarray(picture) / 255
    pixels = np.clip(pixels ** rng.uniform(0.8, 1.25) * rng.uniform(0.8, 1.15, 3), 0, 1)
    graded = Image.fromarray((255 * pixels).astype(np.uint8))
    return ImageEnhance.Color(graded).enhance(rng.uniform(0.6, 1.4))


CHANGES = (resized, cropped, recompressed, recoloured)


def planted(pairs, seed, duplicates, clean):
    """(known thumbnails, `duplicates` changed ones of them, positions, clean thumbnails): no picture
    of a clean one's base emoji is known, nor any within RMSE .05 of it."""
    rng = np.random.default_rng(seed)
    by_base = {}
    for i in range(len(pairs)):
        by_base.setdefault(base_emoji(pairs.base(i)), []).append(i)
    bases = sorted(by_base)
    rng.shuffle(bases)
    asked = []
    while len(asked) < 1.6 * clean:
        asked += by_base[bases.pop()]
    known, kept = thumbnails(pairs, [i for b in bases for i in by_base[b]])
    strangers, names = thumbnails(pairs, asked)
    rmse = torch.cdist(strangers.flatten(1), known.flatten(1)) / known[0].numel() ** 0.5
    strangers = strangers[rmse.min(1).values > 0.05][:clean]
    assert len(strangers) == clean
    where = rng.choice(len(kept), duplicates, replace=False)
    changed = [CHANGES[k % 4](pairs.image(kept[w]), rng) for k, w in enumerate(where)]
    return known, thumbnails(Shown(changed), range(duplicates))[0], where, strangers


def trial(pairs, seed=0, duplicates=40, clean=100):
    """Recall and precision on `duplicates` planted ones among `clean` strangers: dict of numbers."""
    known, changed, where, strangers = planted(pairs, seed, duplicates, clean)
    found = int((near_duplicates(changed, known)[0] <= THRESHOLD).sum())
    false = int((near_duplicates(strangers, known)[0] <= THRESHOLD).sum())
    return {"planted": duplicates, "clean": clean, "found": found, "false": false,
            "recall": found / duplicates, "precision": found / max(1, found + false)}  # fmt: skip
