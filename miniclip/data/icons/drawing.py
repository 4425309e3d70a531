"""Icons as pixels: SVG texts drawn by resvg, once, and kept in the cache.

An icon is drawn at 64 pixels, cropped to its ink and scaled so that its longer side is 26 of the 32
pixels of a square; black on white. Drawings that sets share (logos, copies) are found by a hash of
the picture at 16 x 16 in 4 levels of grey, and are one picture.
"""

import io

import numpy as np
from PIL import Image

DRAWN, INK, SIDE = 64, 26, 32  # pixels
COARSE, LEVELS = 16, 4  # of the hash: pixels of a side, levels of grey


def draw(svg: str) -> np.ndarray | None:
    """The ink of an icon: (32, 32) uint8, 255 where it is black; None for one that is empty or that
    resvg cannot draw."""
    import resvg_py  # here, so that a warm cache does not need it

    try:
        png = resvg_py.svg_to_bytes(
            svg_string=svg, width=DRAWN, background="white", skip_system_fonts=True
        )
    except ValueError:
        return None
    with Image.open(io.BytesIO(png)) as image:
        ink = Image.eval(image.convert("L"), lambda level: 255 - level)
    if not ink.getbbox():
        return None
    ink = ink.crop(ink.getbbox())
    scale = INK / max(ink.size)
    ink = ink.resize(
        [max(1, round(length * scale)) for length in ink.size], Image.Resampling.BICUBIC
    )
    square = Image.new("L", (SIDE, SIDE))
    square.paste(ink, [(SIDE - length) // 2 for length in ink.size])
    return np.asarray(square)


def coarse(ink: np.ndarray) -> bytes:
    """What is the same in two drawings of the same picture, at COARSE x COARSE pixels: bytes."""
    small = Image.fromarray(ink).resize((COARSE, COARSE), Image.Resampling.BOX)
    return np.rint(np.asarray(small) * ((LEVELS - 1) / 255)).astype(np.uint8).tobytes()


def distinct(drawn):
    """Each picture once, with the captions of all drawings that are the same to `coarse`.

    drawn: (ink or None, its captions) one after another; None is left out. Returns ([captions of each
    picture], ink (n, SIDE, SIDE) uint8).
    """
    found = {}
    for ink, own in drawn:
        if ink is not None:
            found.setdefault(coarse(ink), (ink, []))[1].extend(own)
    inks, captions = zip(*found.values())
    return list(captions), np.stack(inks)
