"""Files that can be made again: drawn emoji, the index of shards. One line of JSON, then bytes.

A hash of what a file was made from is part of its name, so a file made from something else is never
found. A file whose checksum does not hold is made again. Files are written beside their place and
renamed into it, so that a reader never sees a part of one. They may be deleted at any time.
"""

import hashlib
import json
import os
import sys
import zlib
from pathlib import Path

import numpy as np

from miniclip.common import UserError, refuse, replacing
from miniclip.data.dataset import file_size


def folder() -> Path:
    """The folder of these files: $MINICLIP_CACHE, or the platform's place for caches."""
    if own := os.environ.get("MINICLIP_CACHE"):
        return Path(os.path.expanduser(own))
    base = os.environ.get("XDG_CACHE_HOME")
    if sys.platform == "win32":
        base = base or os.environ.get("LOCALAPPDATA")
    default = "~/Library/Caches" if sys.platform == "darwin" else "~/.cache"
    return Path(os.path.expanduser(base or default)) / "miniclip"


def load_or_make(name: str, made_of, make, what: str, passing=()):
    """(notes, body) of the cached file, or else of make(), which is then written there.

    The file is called `name`-KEY.bin; KEY is a hash of made_of, what JSON can hold. notes: what JSON
    can hold; body: bytes, (n,) uint8 that lies in the file where it was read. what: what a message
    calls the file when it cannot be written. passing: reasons in notes, a list of (name, reason),
    for which the file is made again.
    """
    key = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]
    path = folder() / f"{name}-{key}.bin"
    found = read(path)
    if found is None or passing and not passing.isdisjoint(why for _, why in found[0]):
        found = make()
        try:
            write(path, *found)
        except (OSError, UserError) as error:
            reason = getattr(error, "strerror", error)
            print(f"cannot keep {what} in {path}: {reason}", file=sys.stderr)
    return found


def pictures(name: str, made_of, draw, shape):
    """(notes, uint8 of `shape`) of draw(), kept compressed. made_of: as load_or_make's."""

    def make():
        notes, drawn = draw()
        return notes, zlib.compress(drawn.tobytes(), 1)

    notes, body = load_or_make(name, made_of, make, "the drawings")
    # decompressed only now that its checksum is known to hold
    return notes, np.frombuffer(zlib.decompress(body), np.uint8).reshape(shape)


def read(path: Path):
    """(notes, body) of a file, or None if it is not there or damaged."""
    try:
        file_size(path)
        with open(path, "rb") as file:
            first = file.readline()
        head, body = json.loads(first), np.memmap(path, np.uint8, "r", offset=len(first))
        if head["checksum"] == _checksum(head["notes"], body):
            return head["notes"], body
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    return None


def _checksum(notes, body):
    whole = [notes, hashlib.sha256(body).hexdigest()]
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()


def write(path: Path, notes, body) -> None:
    """Write a file; the whole of it is there, or nothing. body: bytes. Raises OSError or UserError."""
    refuse({"there is no such user's home folder": path.parts[0].startswith("~")})
    head = {"checksum": _checksum(notes, body), "notes": notes}
    with replacing(path) as file:
        file.write(json.dumps(head).encode() + b"\n")
        file.write(body)
