"""Where every pair of a set of shards lies: one pass over the tars' headers, kept in the cache.

A shard is a tar in the layout of webdataset and img2dataset: files whose names are equal up to the
first dot of their last part are one sample, "0012.jpg" with "0012.txt" or "0012.json". With an
index of them a tar is read like a folder: any pair, in any order, by any process. A pair is one row
of 42 bytes, so 12 million take 0.5 GB, which all processes of a machine share.

Captions are checked here once. Pictures are checked when they are loaded. A member that cannot be
used is named with the reason, and costs its own pair only. Left out: compressed tars, and files with
other suffixes than a picture's, txt and json.
"""

import errno
import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from tqdm import tqdm

from miniclip.data import cache
from miniclip.data.dataset import BadPicture, file_size, one_line, text_hash
from miniclip.data.image_io import MOST_PICTURE_BYTES, SUFFIXES
from miniclip.data.shards.tar import key_and_suffix, scan

LAYOUT = 3  # of the kept index
MOST_TEXT_BYTES = 1 << 20
SCANNERS = 8  # threads: most of the time is the disk's or the network's
# offsets and sizes in bytes, of which a size of 0 says that there is none; draw: a hash of the key
ROW = np.dtype(
    [
        ("shard", "<i4"),
        ("draw", "<u2"),
        ("picture", "<i8"),
        ("picture_bytes", "<i4"),
        ("txt", "<i8"),
        ("txt_bytes", "<i4"),
        ("json", "<i8"),
        ("json_bytes", "<i4"),
    ]
)
DRAWS = 10_000
# why a shard may be readable the next time, although neither its size nor its time has changed
PASSING = {os.strerror(code) for code in (errno.EACCES, errno.EIO, errno.EMFILE, errno.ENFILE)}
TEXTS = {".txt": "txt", ".json": "json"}


def build(paths, names):
    """The index of the shards at `paths`, called `names`: (rows (n,) of ROW, [(name, reason)]).

    Taken from the cache when the shards are those it was made of, by size and time of change.
    """
    made_of = {"layout": LAYOUT, "shards": [fingerprint(path) for path in paths]}
    key = hashlib.sha256("\0".join(paths).encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def make():
        rows, skipped = [np.empty(0, ROW)], []
        with ThreadPoolExecutor(SCANNERS) as pool:
            found = pool.map(index_shard, range(len(paths)), paths, names)
            quiet = True if len(paths) < 4 else None  # None: no bar where there is no terminal
            for own, bad in tqdm(found, "indexing shards (once)", len(paths), disable=quiet):
                rows.append(own)
                skipped += bad
        return skipped, np.concatenate(rows).view(np.uint8)

    kept = f"shards-{key}.index"
    skipped, body = cache.load_or_make(kept, made_of, make, "the index", PASSING)
    return body.view(ROW), [(name, reason) for name, reason in skipped]


def index_shard(number, path, name):
    """One shard's part of the index: (rows of ROW, in the order of the tar, [(name, reason)])."""
    samples, skipped, told = {}, [], set()  # {key: {role: (offset, size)}}, ..., keys in skipped
    try:
        length = file_size(path)
        with open(path, "rb") as file:
            for member, offset, size, problem in scan(file, length):
                if not member and problem:
                    skipped.append((name, problem))
                    continue
                key, suffix = key_and_suffix(member)
                role = "picture" if suffix in SUFFIXES else TEXTS.get(suffix)
                sample = samples.setdefault(key, {})
                try:
                    if problem:
                        raise BadPicture(problem)
                    if role and _is_used(sample, role, offset, size, file):
                        sample[role] = offset, size
                except BadPicture as error:
                    skipped.append((f"{name}: {member}", str(error)))
                    told.add(key)
    except (OSError, ValueError) as error:
        skipped.append((name, getattr(error, "strerror", None) or str(error)))
    rows = []
    for key, sample in samples.items():
        if "picture" in sample and len(sample) > 1:
            places = [sample.get(role, (0, 0)) for role in ("picture", "txt", "json")]
            rows.append((number, text_hash(key) % DRAWS, *(n for place in places for n in place)))
        elif key not in told:
            lacks = 'no caption: neither a .txt nor "caption" or "captions" in a .json'
            skipped.append((f"{name}: {key}", lacks if "picture" in sample else "no picture"))
    return np.array(rows, ROW), skipped


def _is_used(sample, role, offset, size, file):
    """Whether a member is a picture or holds a caption. Raises BadPicture for what is wrong."""
    if role in sample:
        raise BadPicture(f"a second {role} of the same key; the first is used")
    most = MOST_PICTURE_BYTES if role == "picture" else MOST_TEXT_BYTES
    if size > most:
        raise BadPicture(f"{size:,} bytes: more than {most >> 20} MiB")
    if size == 0:
        raise BadPicture("an empty file")
    if role == "picture":
        return True
    file.seek(offset)
    captions = (text_caption if role == "txt" else json_captions)(file.read(size))
    if role == "txt" and not captions:
        raise BadPicture("an empty caption")
    return bool(captions)


def text_caption(data):
    """The caption in the bytes of a .txt: one line, '' for none. Raises BadPicture."""
    try:
        return one_line(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise BadPicture("its caption is not UTF-8") from None


def json_captions(data):
    """The captions in the bytes of a .json, its "captions" or its "caption": a tuple of str.

    Raises BadPicture when it is no JSON.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):  # what is not UTF-8 is a ValueError too
        raise BadPicture("its .json is not JSON") from None
    own = found.get("captions") or found.get("caption") if isinstance(found, dict) else None
    own = [one_line(x) for x in (own if isinstance(own, list) else [own]) if isinstance(x, str)]
    try:
        "".join(own).encode()  # JSON can spell one half of a pair of surrogates, which is no text
    except UnicodeEncodeError:
        raise BadPicture("its caption is not Unicode") from None
    return tuple(filter(None, own))


def fingerprint(path):
    """What tells whether a file has changed: its path, size and time, a list."""
    try:
        status = os.stat(path)
        return [path, status.st_size, status.st_mtime_ns]
    except (OSError, ValueError):
        return [path]
