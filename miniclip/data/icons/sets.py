"""The thirteen icon sets: where each one's fonts and names are, who drew it, and its licence.

A set is a site of its own: its own artists, drawing rules and naming habits. The packages are read
through their metadata, because importing them needs tkinter. A package holds fonts, and maps from
names to code points, one for all styles or one a style.
Left out: the packages -devicon and -simple, which hold brand logos only.
"""

import importlib.metadata
import json
from typing import NamedTuple

from miniclip.common import UserError

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


def versions():
    """{package: version} of all thirteen. Raises UserError when one is missing."""
    found = {}
    for own in SETS.values():
        package = f"tkinter-icons-{own.package}"
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            raise UserError(
                f"the icons need {package}: pip install 'miniclip[icons]', or "
                "pip install -e '.[icons]' in a checkout"
            ) from None
    return found


def newer():
    """One sentence about packages whose pictures may differ from those measured, '' for none."""
    others = [f"{p} {v}" for p, v in versions().items() if not v.startswith(KNOWN)]
    if not others:
        return ""
    return f"{', '.join(others)}: the figures of this project were measured with {KNOWN}x"


def glyphs(site):
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
