"""Files that can be made again: drawn emoji, the index of shards, features. A checksum, a line of
JSON, and then bytes, which processes share because they stay in the file.

A hash of what a file was made from is part of its name, so a file made from something else is never
found. A file whose checksum does not hold is made again. Files are written beside their place and
renamed into it, so that a reader never sees a part of one. They may be deleted at any time.
"""

import hashlib
import json
import os
import sys
from pathlib import Path

import numpy as np

from miniclip.common import UserError, refuse, replacing
from miniclip.data.dataset import file_size


def folder() -> Path:
    """The folder of these files: $MINICLIP_CACHE, or miniclip in $XDG_CACHE_HOME or ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.path.expanduser(os.environ.get("MINICLIP_CACHE") or f"{base}/miniclip"))


def load_or_make(name: str, made_of, make, what: str, passing=()):
    """(notes, body) of the cached file, or else of make(), which is then written there.

    The file is called `name`-KEY.bin; KEY is a hash of made_of, what JSON can hold. notes: what JSON
    can hold; body: bytes, (n,) uint8 that lies in the file where it was read. what: what a message
    calls the file when it cannot be written. passing: reasons in notes, a list of (name, reason),
    for which the file is made again.
    """
    path = path_of(name, made_of)
    found = read(path)
    if found is None or passing and not passing.isdisjoint(why for _, why in found[0]):
        found = make()
        keep(path, *found, what)
    return found


def path_of(name: str, made_of) -> Path:
    """The path of a cached file. made_of: what JSON can hold, of which a hash is part of the name."""
    return folder() / f"{name}-{hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]}.bin"


def keep(path: Path, notes, body, what: str) -> None:
    """Write a file; the whole of it is there, or nothing. body: bytes. Where it cannot be written, this
    is only said on stderr."""
    notes = json.dumps(notes).encode() + b"\n"
    try:
        refuse({"there is no such user's home folder": path.parts[0].startswith("~")})
        with replacing(path) as file:
            file.write(_checksum(notes, body) + notes)
            file.write(body)
    except (OSError, UserError) as error:
        print(f"cannot keep {what} in {path}: {getattr(error, 'strerror', error)}", file=sys.stderr)


def read(path: Path):
    """(notes, body) of a file, or None if it is not there or damaged."""
    try:
        file_size(path)
        with open(path, "rb") as file:
            checksum, notes = file.readline(), file.readline()
            body = np.memmap(path, np.uint8, "r", offset=file.tell())
    except (OSError, ValueError):
        return None
    return (json.loads(notes), body) if checksum == _checksum(notes, body) else None


def _checksum(notes, body):
    return hashlib.sha256(notes + hashlib.sha256(body).digest()).hexdigest().encode() + b"\n"
