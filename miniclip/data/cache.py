"""Files that can be made again, such as drawn emoji, the index of shards and features.

Each file holds a checksum, a line of JSON, and then bytes. The bytes are not copied but mapped, so
that processes share them. A hash of what a file was made from is part of its name, so a file that
was made from something else is never found. A file whose checksum is wrong is made again. A file is
written under another name and then renamed, so that a reader never sees an incomplete file. The
files may be deleted at any time.
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
    """The folder of the cached files: $MINICLIP_CACHE, or else miniclip in $XDG_CACHE_HOME or
    ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.path.expanduser(os.environ.get("MINICLIP_CACHE") or f"{base}/miniclip"))


def load_or_make(name: str, made_of, make, what: str, passing=()):
    """(notes, body) of a cached file, which is made and written if there is no such file yet.

    name, made_of: the file is called `name`-KEY.bin, where KEY is a hash of made_of. made_of must
    be a value that JSON can express.
    make: a function that returns (notes, body). notes: a value that JSON can express. body: an
    array of uint8. A body that is read from the file is (n,) and mapped.
    what: words for the content of the file, such as "the index". If the file cannot be written, a
    message on stderr says so with these words.
    passing: a set of reasons, such as an error of the disk. Something was left out for such a
    reason, but at the next try the reason may no longer exist. If it is given, notes is a list of
    (name, reason), and a file whose notes hold one of these reasons is made again.
    """
    path = path_of(name, made_of)
    found = read(path)
    if found is None or passing and not passing.isdisjoint(why for _, why in found[0]):
        found = make()
        keep(path, *found, what)
    return found


def path_of(name: str, made_of) -> Path:
    """The path of a cached file. Its name holds a hash of made_of, which JSON must express."""
    return folder() / f"{name}-{hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]}.bin"


def keep(path: Path, notes, body, what: str) -> None:
    """Write a file, completely or not at all. body: bytes or an array. If the file cannot be
    written, a message on stderr says so, and nothing is raised."""
    notes = json.dumps(notes).encode() + b"\n"
    try:
        refuse(
            {
                "there is no such user, so ~ names no folder": path.parts[0].startswith("~"),
                "its folder is no folder": path.parent.exists() and not path.parent.is_dir(),
            }
        )
        with replacing(path) as file:
            file.write(_checksum(notes, body) + notes)
            file.write(body)
    except (OSError, UserError) as error:
        print(f"cannot keep {what} in {path}: {getattr(error, 'strerror', error)}", file=sys.stderr)


def read(path: Path):
    """(notes, body) of a file, or None if the file is missing or damaged."""
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
