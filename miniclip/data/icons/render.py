"""Icons as pixels: glyphs of fonts drawn by Pillow, once, and kept in the cache.

A glyph is drawn at 52 pixels a em, cropped to its ink and resized so that its longer side is 52 of
the 64 pixels of a square; black on white. Drawings that many sets share (logos, copies) are found by
a hash of the picture at 24 x 24 in 4 levels of grey, and are one picture.
"""

import numpy as np
from PIL import Image, ImageFont
from PIL import __version__ as pillow
from tqdm import tqdm

from miniclip.data import cache
from miniclip.data.icons import sets

EM, INK, SIDE = 52, 52, 64  # pixels
COARSE, LEVELS = 24, 4  # of the hash
LAYOUT = 1  # of the cache file


def draw(font, code: int) -> np.ndarray | None:
    """The ink of one glyph: (64, 64) uint8, 255 where it is black; None for an empty glyph."""
    mask = font.getmask(chr(code), mode="L")
    return centred(Image.frombytes("L", mask.size, bytes(mask)), INK, SIDE)


def centred(ink: Image.Image, longer: int, side: int) -> np.ndarray | None:
    """The ink of a picture of mode L, scaled such that its longer side has `longer` pixels, in the
    middle of a square: (side, side) uint8. None where there is no ink."""
    if (box := ink.getbbox()) is None:
        return None
    ink = ink.crop(box)
    scale = longer / max(ink.size)
    ink = ink.resize(
        [max(1, round(length * scale)) for length in ink.size], Image.Resampling.BICUBIC
    )
    square = Image.new("L", (side, side))
    square.paste(ink, [(side - length) // 2 for length in ink.size])
    return np.asarray(square)


def coarse(ink: np.ndarray, side: int = COARSE) -> bytes:
    """What is the same in two drawings of the same picture, at side x side pixels: bytes."""
    small = Image.fromarray(ink).resize((side, side), Image.Resampling.BOX)
    return np.rint(np.asarray(small) * ((LEVELS - 1) / 255)).astype(np.uint8).tobytes()


def distinct(drawn, side: int = COARSE):
    """Each picture once, with the captions of all drawings that are the same to `coarse`.

    drawn: (ink or None, its captions) one after another; None is left out. Returns ([captions of each
    picture], ink (n, S, S) uint8).
    """
    captions, inks = {}, []
    for ink, own in drawn:
        if ink is None:
            continue
        key = coarse(ink, side)
        if key not in captions:
            inks.append(ink)
        captions.setdefault(key, []).extend(own)
    return list(captions.values()), np.stack(inks)


def draw_all(sites=tuple(sets.SETS)):
    """The pictures of some sets: ([[(site, name, style), ...] of each picture], ink (n, 64, 64) uint8)."""
    wanted = [(site, *glyph) for site in sites for glyph in sets.listed(site, sets.glyphs(site))]
    basic = ImageFont.Layout.BASIC
    paths = {path for _, path, _, _ in wanted}
    fonts = {path: ImageFont.truetype(path, EM, layout_engine=basic) for path in paths}
    shown = tqdm(wanted, desc="drawing icons (once)", unit="", disable=None)
    return distinct(
        (draw(fonts[path], code), [(site, *caption) for caption in own])
        for site, path, code, own in shown
    )


def pictures():
    """The same as draw_all, drawn once and kept in the cache.

    Raises UserError where a package is missing.
    """
    made_of = {"layout": LAYOUT, "pillow": pillow, **sets.versions()}
    captions, inks = cache.load_or_make("icons", made_of, draw_all, "the drawings")
    return captions, inks.reshape(-1, SIDE, SIDE)
