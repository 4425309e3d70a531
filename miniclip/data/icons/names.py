"""Icon names to captions: "ic-fluent-access-time-24-filled" -> ("access time", "filled").

Separators become spaces; prefixes of a set and pixel sizes are removed; the words that tell a style
stand apart at the end, because prompts ask for them ("home outline"). The code points' other names
are further captions of the same picture. Codes of weather services ("owm 804") are no names.
"""

import re

from miniclip.data.icons.sets import SETS

_CODES = re.compile(r"(owm|wmo4680|yahoo|wu|forecast io) ")


def split_name(site, spelled, style=""):
    """(name, style) of one glyph of a set, both str; None where `spelled` is no name."""
    own = SETS[site]
    name = re.sub(r"[-_ ]+", " ", spelled).strip()
    name = re.sub(f"^{own.prefix}", "", name)
    if site == "weather" and _CODES.match(name):
        return None
    words = name.split(" ")
    while len(words) > 1 and words[-1] in own.styles:
        style = f"{words.pop()} {style}".strip()
    if site == "fluent" and len(words) > 1 and words[-1].isdigit():
        words.pop()  # the size in pixels
    return " ".join(words), style


def pixels(site, spelled):
    """The size that a name of Fluent tells: pixels; 0 for other sets."""
    sizes = re.findall(r"-(\d+)-", spelled) if site == "fluent" else []
    return int(sizes[-1]) if sizes else 0


def listed(site, glyphs):
    """[(font, code point, [(name, style), ...])] of a set: what to draw, and its captions.

    glyphs: sets.glyphs(site). Fluent draws an icon at up to six sizes, of which the one nearest to
    24 pixels is kept. Meteocons' further names are the keys of a keyboard, and are left out.
    """
    drawn, seen = {}, set()
    for spelled, code, font, style in sorted(glyphs, key=lambda g: abs(pixels(site, g[0]) - 24)):
        caption = split_name(site, spelled, style)
        if caption is None or (site == "fluent" and caption in seen):
            continue
        seen.add(caption)
        own = drawn.setdefault((font, code), [])
        if caption not in own and not (own and site == "meteocons"):
            own.append(caption)
    return [(font, code, own) for (font, code), own in drawn.items()]
