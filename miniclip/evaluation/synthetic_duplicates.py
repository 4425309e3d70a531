"""Synthetic near-duplicates, to measure the detector of data_overlap.py (CLIP, section 5 and
appendix C).

Training pictures are changed in the ways in which copies on the web differ: size, crop,
compression, colours. The detector should find them (recall), and find nothing among pictures of
which no near-duplicate is in the training set (false positives).
"""

import io

import numpy as np
import torch
from PIL import Image, ImageEnhance

from miniclip.evaluation.data_overlap import THRESHOLD, base_emoji, near_duplicates, thumbnails
from miniclip.evaluation.features import picture_source


def resized(picture, rng):
    """Another size, 32 to 159 pixels a side."""
    side = int(rng.integers(32, 160))
    return picture.resize((side, side), Image.BICUBIC)


def cropped(picture, rng):
    """A square of 90 % of the side, anywhere."""
    side = round(picture.width * 0.9)
    x, y = (int(v) for v in rng.integers(0, picture.width - side + 1, 2))
    return picture.crop((x, y, x + side, y + side))


def recompressed(picture, rng):
    """JPEG of quality 25 to 59."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=int(rng.integers(25, 60)))
    return Image.open(buffer).convert("RGB")


def recoloured(picture, rng):
    """Another gamma, brightness of each channel, and saturation."""
    pixels = np.asarray(picture) / 255
    pixels = np.clip(pixels ** rng.uniform(0.8, 1.25) * rng.uniform(0.8, 1.15, 3), 0, 1)
    graded = Image.fromarray((255 * pixels).astype(np.uint8))
    return ImageEnhance.Color(graded).enhance(rng.uniform(0.6, 1.4))


CHANGES = (resized, cropped, recompressed, recoloured)


def trial(pairs, seed=0, duplicates=40, clean=100):
    """Recall and precision of the detector on changed copies of known pictures and on clean ones.

    No known picture has the base emoji of a clean one, or is within RMSE .05 of it.
    Returns {'duplicates', 'clean', 'found', 'false', 'recall', 'precision'}.
    """
    rng, by_base = np.random.default_rng(seed), {}
    for i in range(len(pairs)):
        by_base.setdefault(base_emoji(pairs.base(i)), []).append(i)
    bases, apart = sorted(by_base), []
    rng.shuffle(bases)
    while len(apart) < 1.6 * clean:
        apart += by_base[bases.pop()]
    known, kept = thumbnails(pairs, [i for base in bases for i in by_base[base]])
    others, _ = thumbnails(pairs, apart)
    rmse = torch.cdist(others.flatten(1), known.flatten(1)) / known[0].numel() ** 0.5
    others = others[rmse.min(1).values > 0.05][:clean]
    assert len(others) == clean
    originals = rng.choice(len(kept), duplicates, replace=False)
    changed = [CHANGES[k % 4](pairs.image(kept[j]), rng) for k, j in enumerate(originals)]
    changed, _ = thumbnails(picture_source(changed), range(duplicates))
    found, false = (
        int((near_duplicates(x, known)[0] <= THRESHOLD).sum()) for x in (changed, others)
    )
    return {
        "duplicates": duplicates,
        "clean": clean,
        "found": found,
        "false": false,
        "recall": found / duplicates,
        "precision": found / max(1, found + false),
    }
