"""Where every pair of a set of shards lies: one pass over the tars' headers, kept in the cache.

A shard is a tar in the layout of webdataset and img2dataset. Files in one folder whose names are
equal up to the first dot are one sample, such as "0012.jpg" with "0012.txt" or "0012.json". With an
index of the samples, a tar is read like a folder: any pair, in any order, by any process. A pair
is one row of 42 bytes in the index, so 12 million pairs take 0.5 GB, which all processes of a
machine share.

A tar may be damaged or hostile. Nothing is unpacked, and no name is used as a path: a member of the
tar is a name to group by, an offset and a size. The standard library reads each header, and `scan`
decides where to go on. If a header is damaged, only its own file is lost, because `scan` looks at
one block after the other until it finds a sound header. Captions are checked here once, and
pictures when they are loaded. A member that cannot be used is named with the reason. Left out:
compressed tars, which cannot be read from the middle; sparse files; and files that are neither
pictures nor .txt nor .json.
"""

import collections
import errno
import io
import itertools
import json
import os
import re
import tarfile

import numpy as np
from tqdm import tqdm

from miniclip.bpe.cleaning import has_words
from miniclip.common import UserError, refuse
from miniclip.data import cache
from miniclip.data.dataset import (
    MOST_TEXT_BYTES,
    BadPicture,
    file_size,
    fingerprint,
    one_line,
    text_hash,
    texts,
)
from miniclip.data.image_io import MOST_PICTURE_BYTES, SUFFIXES, is_picture
from miniclip.data.threads import in_order

BLOCK = 512
PADDING = 20 * BLOCK  # GNU tar pads a tar to a multiple of this
MOST_HEADER_BYTES = 1 << 13  # in a long name or a pax header, which take Python 3.11 quadratic time
MOST_ZEROS = 1 << 20  # after the last file
MOST_SEARCHED = 1 << 28  # bytes to search for a sound header; no member of a shard is so large
LAYOUT = 5  # the version of the layout of the index in the cache
SCANNERS = 8  # threads, which mostly wait for the disk or the network
# offsets and sizes in bytes; a size of 0 means that there is no such file. draw: a hash of the key
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
# Errors that may not occur the next time, although the shard has not changed. An index in the cache
# that names one of them is made again.
PASSING = {os.strerror(code) for code in (errno.EACCES, errno.EIO, errno.EMFILE, errno.ENFILE)}
TEXTS = {".txt": "txt", ".json": "json"}
CAPTION_KEYS = ("captions", "caption")  # in a .json: a list of captions, or else one caption
TARS = (".tar", ".tgz", *(f".tar.{kind}" for kind in ("gz", "bz2", "xz", "zst")))  # to name a shard
DOTS = "its name has several dots, and what follows the first is taken as its kind; rename it"
COMPRESSED = re.compile(rb"\x1f\x8b|BZh[1-9]1AY|\xfd7zXZ|\x28\xb5\x2f\xfd")


class _Header(tarfile.TarInfo):
    """A header that is refused if more of it follows than is read. This happens for GNU's sparse
    files with many holes, and for names and pax headers that are too long."""

    @classmethod
    def frombuf(cls, *block, **how):
        header = super().frombuf(*block, **how)
        if (
            header.type == b"S"
            and block[0][482]  # whether the list of a sparse file's holes goes on
            or header.type in (b"L", b"K", b"x", b"g", b"X")
            and header.size > MOST_HEADER_BYTES
        ):
            raise tarfile.InvalidHeaderError("more of the header follows than is read")
        return header


def scan(file, length: int):
    """Yield (TarInfo, problem) for each member of a tar.

    file: the open tar, binary and seekable. length: its size in bytes. problem: None, or a sentence
    that says why the bytes of the member cannot be used. For a problem of the tar as a whole, the
    TarInfo is None.
    """
    if COMPRESSED.match(file.read(8)):
        yield None, "it is compressed; unpack it, because shards are plain .tar files"
        return
    # bytes of names that are not UTF-8 are kept as surrogates
    tar = tarfile.TarFile(fileobj=io.BytesIO(bytes(BLOCK)), encoding="utf-8")
    tar.fileobj = file
    at = end = 0  # end: where the last member ends
    # told: whether what is lost has been named. noise: whether bytes after `end` are not zeros
    told = noise = False
    while at + BLOCK <= length and at <= end + MOST_SEARCHED:
        file.seek(at)
        try:
            member = _Header.fromtarfile(tar)
            refuse(
                {
                    "a size below zero": member.size < 0,
                    "a sparse file that is cut": member.issparse() and tar.offset > length,
                },
                tarfile.InvalidHeaderError,
            )
        except (tarfile.HeaderError, ValueError, IndexError, RecursionError) as error:
            noise = noise or not isinstance(error, tarfile.EOFHeaderError)
            at = max(at + BLOCK, file.tell())
            continue
        # only zeros, up to the padding: here a tar ended, and another tar was appended to it
        if at > end and (noise or at % PADDING) and not told:
            lost = "files in this range, if there are any, are lost"
            yield None, f"no tar header is read from byte {end:,} to {at:,}: {lost}"
        told = noise = False
        at = tar.offset
        if at > length and (missing := member.offset_data + member.size - length) > 0:
            yield member, f"truncated: {missing:,} of {member.size:,} bytes are missing"
            at, told = member.offset_data, True
        elif member.isreg() and not member.issparse():
            yield member, None
        elif not member.isdir():
            yield member, "a link, a device or a sparse file, not a plain file"
        end = at
    if noise and not told or length - end > MOST_ZEROS or length < BLOCK:
        yield None, f"no tar header from byte {end:,} on: files after it are lost"
    elif length - end < 2 * BLOCK and not told:
        yield None, "the mark at the end of a tar is missing: is it truncated, and are files lost?"


def key_and_suffix(name: str) -> tuple[str, str]:
    """'a/0012.seg.JPG' -> ('a/0012', '.seg.jpg'): the key ends at the first dot of the file's
    name."""
    folder, slash, base = name.rpartition("/")
    stem, dot, suffix = base.partition(".")
    return folder + slash + stem, dot + suffix.lower()


def build(paths: list[str], names: list[str], keys=CAPTION_KEYS):
    """The index of some shards: (rows (n,) of ROW, [(name, reason)] of what cannot be used).

    names: what messages call the shards at `paths`. keys: see captions_of. The index comes from the
    cache if it was made from shards with the same fingerprints, and with a Pillow
    that reads the same kinds of pictures.
    """
    made_of = {
        "layout": LAYOUT,
        "keys": keys,
        "kinds": sorted(SUFFIXES),  # a newer Pillow may read more of them
        "shards": [fingerprint(path) for path in paths],
    }

    def make():
        shards = [*zip(range(len(paths)), paths, names, itertools.repeat(keys))]
        found = in_order(lambda shard: index_shard(*shard), shards, SCANNERS)
        rows, skipped = zip(*tqdm(found, "indexing shards (once)", len(paths), disable=None))
        return [*itertools.chain(*skipped)], np.concatenate(rows).view(np.uint8)

    skipped, body = cache.load_or_make("shards", made_of, make, "the index", PASSING)
    return body.view(ROW), [(name, reason) for name, reason in skipped]


def index_shard(number: int, path: str, name: str, keys=CAPTION_KEYS):
    """The index of one shard: (rows of ROW in the order of the tar, [(name, reason)])."""
    samples, skipped, told = {}, [], set()  # {key: {role: (offset, size)}}; told: keys in skipped
    dotted = collections.defaultdict(list)  # {key: names of pictures with several dots}
    try:
        length = file_size(path)
        with open(path, "rb") as file:
            for member, problem in scan(file, length):
                if member is None:
                    skipped.append((name, problem))
                    continue
                key, suffix = key_and_suffix(member.name)
                role = "picture" if suffix in SUFFIXES else TEXTS.get(suffix)
                sample = samples.setdefault(key, {})
                try:
                    refuse({problem: problem is not None})
                    if role and _is_used(sample, role, member, file, keys):
                        sample[role] = member.offset_data, member.size
                    elif is_picture(suffix) and os.path.basename(key):  # such as cat.0.png
                        dotted[key].append(f"{name}: {member.name}")
                except UserError as error:
                    skipped.append((f"{name}: {member.name}", str(error)))
                    told.add(key)
    except (OSError, ValueError) as error:
        skipped.append((name, getattr(error, "strerror", None) or str(error)))
    rows = []
    for key, sample in samples.items():
        if "picture" in sample and len(sample) > 1:
            places = [sample.get(role, (0, 0)) for role in ("picture", "txt", "json")]
            rows.append((number, text_hash(key) % DRAWS, *(n for place in places for n in place)))
        elif key in dotted and "picture" not in sample:
            skipped += [(member, DOTS) for member in dotted[key]]
        elif key not in told and os.path.basename(key):  # no hidden file, such as .DS_Store
            wanted = " or ".join(f'"{key}"' for key in keys)
            lacks = f"no caption: no .txt, and no {wanted} in a .json (--caption-key)"
            skipped.append((f"{name}: {key}", lacks if "picture" in sample else "no picture"))
    return np.array(rows, ROW), skipped


def _is_used(sample, role, member, file, keys):
    """Whether a member is a picture or holds a caption. Raises UserError if something is wrong."""
    most = MOST_PICTURE_BYTES if role == "picture" else MOST_TEXT_BYTES
    refuse(
        {
            f"a second {role} of the same key; the first is used": role in sample,
            f"{member.size:,} bytes: more than {most >> 20} MiB": member.size > most,
            "an empty file": member.size == 0,
        }
    )
    if role == "picture":
        return True
    file.seek(member.offset_data)
    captions = captions_of(role, file.read(member.size), keys)
    refuse({"an empty caption": role == "txt" and not captions})
    return bool(captions)


def captions_of(role: str, data: bytes, keys=CAPTION_KEYS) -> list[str]:
    """The captions in the bytes of a file, each on one line. role: "txt" or "json".

    A .txt is one caption. A .json has a caption or a list of captions under one of `keys`. If it
    has several of these keys, the one that comes first in `keys` is used. Raises BadPicture when
    the bytes are not UTF-8 or not JSON, when a caption holds half of a surrogate pair, or when it is
    neither a text nor a list of texts.
    """
    try:
        own = data.decode("utf-8-sig")
        if role == "json":
            found = json.loads(own, parse_int=float)  # Python limits the digits of an int
            own = (
                next(filter(None, map(found.get, keys)), None) if isinstance(found, dict) else None
            )
        json.dumps(own, ensure_ascii=False).encode()  # fails for half of a surrogate pair
    except (ValueError, RecursionError):  # bytes that are not UTF-8 raise a ValueError too
        wanted = "JSON in UTF-8" if role == "json" else "UTF-8"
        raise BadPicture(f"its .{role} is not {wanted}") from None
    return [*filter(has_words, map(one_line, texts(own)))]
