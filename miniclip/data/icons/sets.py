"""The thirteen icon sets: where each one's fonts and names are, who drew it, and its licence.

A set is a site of its own: its own artists, drawing rules and naming habits. The packages are read
through their metadata, because importing them needs tkinter. A package holds fonts, and maps from
names to code points, one for all styles or one a style.
A name becomes a caption: "ic-fluent-access-time-24-filled" -> ("access time", "filled"). Separators
become spaces; prefixes of a set and pixel sizes are removed; the words that tell a style stand apart
at the end, because prompts ask for them ("home outline"). The code points' other names are further
captions of the same picture.
Left out: the packages -devicon and -simple, which hold brand logos only, and codes of weather
services ("owm 804"), which are no names.
"""

import importlib.metadata
import json
import re
from typing import NamedTuple

from miniclip.common import UserError

_CODES = re.compile(r"(owm|wmo4680|yahoo|wu|forecast io) ")
KNOWN = "1.1."  # the versions that the figures of this project were measured with start so


class IconSet(NamedTuple):
    """One set. package: its name after "tkinter-icons-". prefix: a regular expression of what its
    names begin with and nobody would say. styles: the last words of a name that tell how a thing is
    drawn. fonts: ((map's file, font's file, style that the map adds to each name), ...)."""

    package: str
    author: str
    licence: str
    fonts: tuple
    prefix: str = ""
    styles: tuple = ()


SETS = {
    "bootstrap": IconSet(
        "bs",
        "Bootstrap Icons, The Bootstrap Authors",
        "MIT",
        (("glyphmap.json", "bootstrap.ttf", ""),),
        styles=("fill",),
    ),
    "eva": IconSet(
        "eva",
        "Eva Icons, Akveo",
        "MIT",
        (("glyphmap.json", "eva-icons.ttf", ""),),
        prefix="eva ",
        styles=("outline",),
    ),
    "fluent": IconSet(
        "fluent",
        "Fluent System Icons, Microsoft",
        "MIT",
        tuple(
            (f"glyphmap-{style.lower()}.json", f"FluentSystemIcons-{style}.ttf", "")
            for style in ("Filled", "Regular", "Light")
        ),
        prefix="ic fluent ",
        styles=("filled", "regular", "light"),
    ),
    "fontawesome": IconSet(
        "fa",
        "Font Awesome Free, Fonticons",
        "CC BY 4.0 (pictures), OFL 1.1 (fonts), MIT (code)",
        (
            ("glyphmap-solid.json", "fa-solid-900.ttf", ""),
            ("glyphmap-regular.json", "fa-regular-400.ttf", "regular"),
            ("glyphmap-brands.json", "fa-brands-400.ttf", ""),
        ),
    ),
    "google": IconSet(
        "gmi",
        "Material Icons, Google",
        "Apache 2.0",
        (
            ("glyphmap-baseline.json", "MaterialIcons-Regular.ttf", ""),
            ("glyphmap-outlined.json", "MaterialIconsOutlined-Regular.otf", "outlined"),
            ("glyphmap-round.json", "MaterialIconsRound-Regular.otf", "round"),
            ("glyphmap-sharp.json", "MaterialIconsSharp-Regular.otf", "sharp"),
        ),
        styles=("outline", "outlined", "filled", "fill"),
    ),
    "ionicons": IconSet(
        "ion",
        "Ionicons, Ionic",
        "MIT",
        (("glyphmap.json", "ionicons.ttf", ""),),
        prefix="(ion )?(ios |android |md )?",
        styles=("outline",),
    ),
    "lucide": IconSet(
        "lucide",
        "Lucide, Lucide Contributors",
        "ISC",
        (("glyphmap.json", "lucide.ttf", ""),),
        prefix="icon ",
    ),
    "material": IconSet(
        "mat",
        "Material Design Icons, Pictogrammers",
        "Apache 2.0",
        (("glyphmap.json", "materialdesignicons-webfont.ttf", ""),),
        prefix="mdi ",
        styles=("outline",),
    ),
    "meteocons": IconSet(
        "meteocons",
        "Meteocons, Alessio Atzeni",
        "the author's own terms: free to use (in the package)",
        (("glyphmap.json", "meteocons.ttf", ""),),
        styles=("filled",),
    ),
    "remix": IconSet(
        "remix",
        "Remix Icon, Remix Design",
        "Apache 2.0",
        (("glyphmap.json", "remixicon.ttf", ""),),
        styles=("fill", "line"),
    ),
    "rpg": IconSet(
        "rpga",
        "RPG Awesome",
        "MIT",
        (("glyphmap.json", "rpgawesome-webfont.ttf", ""),),
        prefix="ra ",
    ),
    "typicons": IconSet(
        "typicons",
        "Typicons, Stephen Hutchings",
        "CC BY-SA 4.0 (pictures), OFL 1.1 (fonts)",
        (("glyphmap.json", "typicons.ttf", ""),),
        prefix="typcn ",
        styles=("outline",),
    ),
    "weather": IconSet(
        "weather",
        "Weather Icons, Erik Flowers",
        "OFL 1.1 (fonts), MIT (code), CC BY 3.0 (documentation)",
        (("glyphmap.json", "weathericons-regular-webfont.ttf", ""),),
        prefix="wi ",
    ),
}


def versions() -> dict[str, str]:
    """{package: version} of all thirteen. Raises UserError when one is missing."""
    packages = [f"tkinter-icons-{own.package}" for own in SETS.values()]
    try:
        return {package: importlib.metadata.version(package) for package in packages}
    except importlib.metadata.PackageNotFoundError as error:
        raise UserError(
            f"the icons need {error.name}: pip install 'miniclip[icons]', or "
            "pip install -e '.[icons]' in a checkout"
        ) from None


def newer() -> str:
    """One sentence about packages whose pictures may differ from those measured, '' for none."""
    others = [f"{p} {v}" for p, v in versions().items() if not v.startswith(KNOWN)]
    if not others:
        return ""
    return f"{', '.join(others)}: the figures of this project were measured with {KNOWN}x"


def glyphs(site: str) -> list[tuple]:
    """[(name as the package spells it, code point, path of the font, style)] of a set."""
    own = SETS[site]
    files = importlib.metadata.files(f"tkinter-icons-{own.package}") or []
    paths = {f.name: f.locate() for f in files}
    found = []
    for names, font, style in own.fonts:
        with open(paths[names], encoding="utf-8") as file:
            for name, code in json.load(file).items():
                code = code if isinstance(code, int) else int(code, 16)
                found.append((name, code, str(paths[font]), style))
    return found


def split_name(site: str, spelled: str, style="") -> tuple[str, str] | None:
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


def pixels(site: str, spelled: str) -> int:
    """The size that a name of Fluent tells: pixels; 0 for other sets."""
    sizes = re.findall(r"-(\d+)-", spelled) if site == "fluent" else []
    return int(sizes[-1]) if sizes else 0


def listed(site: str, glyphs) -> list[tuple]:
    """[(font, code point, [(name, style), ...])] of a set: what to draw, and its captions.

    glyphs: what the function of this name gives. Fluent draws an icon at up to six sizes, of which the one nearest to
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
