"""The embedded emoji in other drawings: a small natural distribution shift (CLIP, section 3.3).

The concepts stay, the drawing changes. Four kinds: `colour`, what a model was trained on; `grey`, the
same without its colours; `line art`, OpenMoji's own drawing without the groups that fill it (color*,
skin*, hair*); and `Noto`, Google's monochrome emoji font (SIL Open Font License), by other artists.
The font comes in an optional package, and only its pictures of single code points are used.
Left out: flags, which differ in colour alone, and whatever has a skin tone.
"""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from miniclip.data.dataset import BadPicture
from miniclip.data.emoji.render import SIDE, draw, package_files, svg_files

KINDS = ("colour", "grey", "line art", "Noto")
FILLED = re.compile(r"(color|skin|hair)", re.IGNORECASE)
FONT = "NotoEmoji[wght].ttf"
PACKAGE = "manimgx-fonts"


def line_art(svg):
    """An SVG of OpenMoji without its groups color*, skin* and hair*: str -> str."""
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.endswith("}g") and FILLED.match(child.get("id", "")):
                parent.remove(child)
    return ElementTree.tostring(root, encoding="unicode")


class Drawings:
    """Pairs' pictures in another drawing: .image(i) as of the pairs, .available the indices it has.

    Raises UserError, one sentence, when what draws them is not installed, or for an unknown kind.
    """

    def __init__(self, pairs, kind):
        if kind not in KINDS:
            raise ValueError(f"no drawing is called {kind!r}; there are {', '.join(KINDS)}")
        self.pairs, self.kind, self.name = pairs, kind, kind
        self.available = [
            i
            for i in range(len(pairs))
            if pairs.rows[i][0]["group"] != "Flags" and not pairs.tones(i)
        ]
        if kind == "line art":
            self._files = svg_files()
        if kind == "Noto":
            font = ImageFont.truetype(noto_font(), 54, layout_engine=ImageFont.Layout.BASIC)
            nothing = _glyph(font, "\ue000")  # drawn for a character that the font lacks
            codes = {i: pairs.rows[i][0]["codes"] for i in self.available}
            # sequences of code points need shaping, which Pillow's basic layout does not do
            glyphs = {i: _glyph(font, chr(int(c, 16))) for i, c in codes.items() if "-" not in c}
            self._glyphs = {i: glyph for i, glyph in glyphs.items() if glyph != nothing}
            self.available = list(self._glyphs)

    def image(self, i):
        """Picture i, 64 x 64 RGB. Raises BadPicture where Noto has none."""
        if self.kind == "Noto":
            if i not in self._glyphs:
                raise BadPicture(f"Noto has no picture of {self.pairs.captions(i)[0]}")
            return self._glyphs[i]
        if self.kind == "line art":
            path = Path(self._files[self.pairs.rows[i][0]["codes"]])
            return Image.fromarray(draw(line_art(path.read_text(encoding="utf-8"))))
        picture = self.pairs.image(i)
        return picture.convert("L").convert("RGB") if self.kind == "grey" else picture


def _glyph(font, character):
    picture = Image.new("L", (SIDE, SIDE), "white")
    left, top, right, bottom = font.getbbox(character)
    place = ((SIDE - left - right) / 2, (SIDE - top - bottom) / 2)
    ImageDraw.Draw(picture).text(place, character, font=font, fill="black")
    return picture.convert("RGB")


def noto_font():
    """Path of Noto's monochrome emoji font. Raises UserError where its package is missing."""
    return [str(f.locate()) for f in package_files(PACKAGE) if f.name == FONT][0]
