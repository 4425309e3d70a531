"""Icons as pixels: resvg draws the SVG texts once, and the drawings are kept in the cache.

An icon is drawn black on white at 64 pixels, and cropped to its ink. Then it is scaled so that its
longer side takes 26 of the 32 pixels of a square. Two sets may hold the same drawing. Drawings that
are equal at 16 x 16 pixels in 4 levels of grey count as one picture.
"""

import io

import numpy as np
from PIL import Image

DRAWN, INK, SIDE = 64, 26, 32  # pixels
COARSE, LEVELS = 16, 4  # to compare drawings: pixels of a side, levels of grey


def draw(svg: str) -> np.ndarray | None:
    """The ink of an icon: (32, 32) uint8, 255 where the icon is black. None if the icon is empty or
    if resvg cannot draw it."""
    import resvg_py  # imported here, because it is not needed if the drawings are in the cache

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
    """A drawing at COARSE x COARSE pixels, as bytes that are equal for two drawings of one
    picture."""
    small = Image.fromarray(ink).resize((COARSE, COARSE), Image.Resampling.BOX)
    return np.rint(np.asarray(small) * ((LEVELS - 1) / 255)).astype(np.uint8).tobytes()


def distinct(drawn):
    """Each picture once, with the captions of all drawings that `coarse` makes equal.

    drawn: an iterator over (ink, captions). A drawing whose ink is None is left out. Returns
    ([captions of each picture], ink (n, SIDE, SIDE) uint8).
    """
    found = {}
    for ink, own in drawn:
        if ink is not None:
            found.setdefault(coarse(ink), (ink, []))[1].extend(own)
    inks, captions = zip(*found.values())
    return list(captions), np.stack(inks)
