"""Icons without the packages: pictures of random ink; and those of Font Awesome, drawn once."""

import functools

import numpy as np
from PIL import ImageFont

from miniclip.data.icons import render, sets


def made_up(owned, seed=0):
    """What render.pictures returns: each picture its captions, and ink of its own."""
    inks = np.random.default_rng(seed).integers(0, 256, (len(owned), 64, 64))
    return owned, inks.astype(np.uint8)


@functools.lru_cache
def fontawesome():
    """[(captions, ink)] of all glyphs of Font Awesome that are not empty."""
    fonts, drawn = {}, []
    for path, code, own in sets.listed("fontawesome", sets.glyphs("fontawesome")):
        if path not in fonts:
            basic = ImageFont.Layout.BASIC
            fonts[path] = ImageFont.truetype(path, render.EM, layout_engine=basic)
        ink = render.draw(fonts[path], code)
        if ink is not None:
            drawn.append((own, ink))
    return drawn
