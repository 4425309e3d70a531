"""Icons as pixels: SVG texts drawn by resvg, once, and kept in the cache.

An icon is drawn at 64 pixels, cropped to its ink and scaled so that its longer side is 26 of the 32
pixels of a square; black on white. Drawings that sets share (logos, copies) are found by a hash of
the picture at 16 x 16 in 4 levels of grey, and are one picture.
"""

import io

import numpy as np
from PIL import Image

from miniclip.data.icons import render

DRAWN, INK, SIDE = 64, 26, 32  # pixels
COARSE = 16  # pixels of a side, of the hash


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
    return render.centred(ink, INK, SIDE)
