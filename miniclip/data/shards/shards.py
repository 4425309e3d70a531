"""Pairs from webdataset shards: tar files of pictures and captions, as img2dataset writes them.

    --data 'cc12m/{0000..1242}.tar'         braces as in a shell; or '*.tar', a tar, or a folder
    --data 's3://bucket/{0000..1242}.tar'   fetched once (remote.py), and then read like files

The tars stay packed, and an index (tar_index.py) says where each pair lies. So shards are pairs
like any other source: they have a length, splits, and an order that depends on nothing but (seed,
epoch). A run resumes at any batch, and any number of ranks and workers loads each pair of an epoch
once. webdataset reads shards as a stream. A stream has none of these properties, unless all shards
hold equally many pairs, or pairs may repeat within an epoch.

A disk is fastest when it reads neighbouring bytes. So an epoch takes the shards in random order, a
few at a time, and shuffles the pairs of these few together. Names inside a tar are not used as
paths: they group its members, their hashes decide which pairs are held out, and messages show them.
Left out: pipes and compressed tars.
"""

import functools
import glob
import hashlib
import itertools
import os
import re

import numpy as np

from miniclip.common import in_words, refuse
from miniclip.data import image_io
from miniclip.data.dataset import BadPicture, Pairs, fingerprint, printable, report_skipped
from miniclip.data.files import walk
from miniclip.data.shards.tar_index import (
    CAPTION_KEYS,
    DRAWS,
    TARS,
    build,
    captions_of,
)

SHARDS_AT_ONCE = 16  # shuffled together, and open in a process: 160,000 pairs if each has 10,000
MOST_SHARDS = 1_000_000  # that braces may name
MOST_BRACES = 8  # in a source: more of them make every name slow to expand
REMOTE = re.compile(r"[\w+.-]+://")
# The most pairs that are held out of up to 50 million. A tenth of 12 million would be 1.2 million
HELD_OUT_PAIRS = 5_000


class Shards(Pairs):
    """The pairs in a list of tar files, in the order of the list and of each tar.

    The hash of a pair's key decides whether it is held out. If there are up to 50,000 pairs, a
    tenth of them is held out. With up to 500,000 pairs it is a hundredth, with up to 5 million a
    thousandth, and with more than that one in 10,000.
    keys: the keys under which a .json may have the captions (see captions_of).
    Raises UserError when there is no pair.
    """

    def __init__(self, name, paths, keys=CAPTION_KEYS):
        first = {}  # {a shard: the first of the paths that lead to it}
        for path in paths:
            first.setdefault(os.path.realpath(path), os.path.abspath(path))
        self.keys, self.paths = keys, [*first.values()]
        root = os.path.commonpath([os.path.dirname(path) for path in self.paths])
        self.shards = [os.path.relpath(path, root) for path in self.paths]
        self.index, skipped = build(self.paths, self.shards, keys)
        refuse(
            {
                f"{printable(name)} in {printable(root)} gives no pair: "
                f"{report_skipped(skipped) or 'the shards hold no files'}": not len(self)
            }
        )
        one_in = next((n for n in (10, 100, 1_000) if len(self) <= n * HELD_OUT_PAIRS), DRAWS)
        out = self.index["draw"] % one_in
        splits = {"train": np.flatnonzero(out), "heldout": np.flatnonzero(out == 0).tolist()}
        if len(splits["heldout"]) < 2 or not len(splits["train"]):
            splits = {"train": np.arange(len(self))}
        super().__init__(name, (), splits, skipped)

    def __len__(self):
        return len(self.index)

    def load_downscaled(self, i, side):
        """Picture i. A JPEG may come at 1/2, 1/4 or 1/8 of its size (image_io.read). Raises
        BadPicture."""
        return image_io.read(self.read(i, "picture"), side)

    def captions(self, i):
        """The caption of the .txt, then the captions of the .json: a tuple of different str.

        Raises BadPicture when the shard no longer has a caption there. If the shard was rewritten,
        any other text there counts as a caption, so a shard must not be rewritten while it is open.
        """
        own = [
            *captions_of("txt", self.read(i, "txt")),
            *captions_of("json", self.read(i, "json") or b"null", self.keys),
        ]
        refuse({"an empty caption": not own}, BadPicture)
        return tuple(dict.fromkeys(own))

    def stamp(self, i):
        """See Pairs."""
        return [*fingerprint(self.paths[self.index[i]["shard"]]), int(self.index[i]["picture"])]

    def where(self, i):
        """The shard of pair i, and the first 100 bytes of the name that its picture has there."""
        row = self.index[i]
        try:
            head = self._pread(int(row["shard"]), int(row["picture"]) - 512, 100)
            name = head.split(bytes(1))[0].decode("utf-8", "surrogateescape")
        except BadPicture:
            name = f"byte {row['picture']}"
        return f"{self.shards[row['shard']]}: {name}"

    def hashes_of(self, i):
        """See Pairs. The set is empty, because all captions would have to be read."""
        return set()

    @functools.cached_property
    def digest(self):
        """A hash of the whole index, and of the names and captions of evenly spaced pairs. These are
        at least 1,024 pairs, and at least as many as there are shards; fewer pairs are all hashed."""
        apart = max(1, len(self) // max(1024, len(self.paths)))
        index = hashlib.sha256(self.index).hexdigest()
        return index[:32] + self._digest(range(0, len(self), apart))[:32]

    def order(self, indices, seed, epoch):
        """`indices` in the order of an epoch. The shards come in random order, SHARDS_AT_ONCE at a
        time, and the pairs of these shards are shuffled together. The order depends on nothing but
        (seed, epoch)."""
        rng = np.random.default_rng((seed, epoch))
        order = rng.permutation(np.asarray(indices, np.int64))
        turn = (rng.permutation(len(self.paths)) // SHARDS_AT_ONCE).astype(np.int32)
        return order[np.argsort(turn[self.index["shard"][order]], kind="stable")]

    def read(self, i, role):
        """The bytes of pair i's "picture", "txt" or "json", or b'' if it has none. Raises
        BadPicture."""
        row = self.index[i]
        size = int(row[role + "_bytes"])
        return self._pread(int(row["shard"]), int(row[role]), size) if size else b""

    @functools.lru_cache(SHARDS_AT_ONCE)
    def _opened(self, shard):
        """The open file of a shard. It closes when neither this cache nor a thread holds it."""
        return open(self.paths[shard], "rb")

    def _pread(self, shard, offset, size):
        """Bytes of a shard. They are read with pread, which uses no position of the file, so that
        forked workers may share the open files. Raises BadPicture."""
        try:
            file = self._opened(shard)  # this reference keeps it open until it is read
            data = os.pread(file.fileno(), size, offset)
        except OSError as error:
            raise BadPicture(f"its shard cannot be read: {error.strerror}") from None
        refuse(
            {"its shard has become shorter than when it was indexed": len(data) < size}, BadPicture
        )
        return data


def is_pattern(source: str) -> bool:
    """Whether a source may name several shards, by braces, *, ? or [."""
    return "{" in source or glob.has_magic(source)


def is_shards(source: str) -> bool:
    """Whether a source of pairs names shards. It does if it ends in .tar or another suffix in TARS,
    if it is an address, or if it is a folder that holds tars and, also below it, no pictures."""
    if not os.path.isdir(source):
        return source.lower().endswith(TARS) or bool(REMOTE.match(source))
    has_tar = any(name.lower().endswith(".tar") for name in os.listdir(source))
    names = (name for _, names in walk(source, []) for name in names) if has_tar else ()
    return has_tar and not any(map(image_io.is_picture, names))


def open_shards(source: str, caption_key=None, cache_dir=None) -> Shards:
    """Pairs from shards: one .tar, a folder of them, or a pattern with {0000..1242}, {a,b}, *, ?.

    caption_key: the key under which a .json has the caption; None: one of CAPTION_KEYS. cache_dir:
    the folder into which shards over a network are fetched; None: a folder in the cache. If braces
    name a shard that does not exist, the pairs that are returned have it in `skipped`. Raises
    UserError when the pattern cannot be understood, or when it gives no pair.
    """
    paths = expand(source)
    if REMOTE.match(source):
        with in_words("shards over a network need: pip install 'miniclip[remote]'", ImportError):
            from miniclip.data.shards.remote import fetched
        paths = fetched(paths, cache_dir)
    refuse({f"{printable(source)} matches no file": not paths})
    keys = CAPTION_KEYS if caption_key is None else (caption_key,)
    return Shards(os.path.basename(os.path.normpath(source)), paths, keys)


def expand(source: str) -> list[str]:
    """The paths or addresses that a source of shards names: list of different str. Raises
    UserError."""
    if os.path.isdir(source):
        names = sorted(os.listdir(source))
        return [os.path.join(source, name) for name in names if name.lower().endswith(TARS)]
    if os.path.exists(source):
        return [source]
    paths, (folder, name) = [source], os.path.split(source)
    # if the folder exists, its name is not a pattern
    folder, pattern = (folder, name) if os.path.isdir(folder) else ("", source)
    if "{" in pattern:
        with in_words("shards named with braces need: pip install webdataset", ImportError):
            from braceexpand import braceexpand  # comes with webdataset
        ranges = re.findall(r"(-?\d{1,20})\.\.(-?\d{1,20})", pattern)
        large = pattern.count("{") > MOST_BRACES or any(
            abs(int(low) - int(high)) >= MOST_SHARDS for low, high in ranges
        )
        with in_words(
            f"{printable(source)} has a brace that is not closed, or one that was not opened",
            ValueError,
            RecursionError,
        ):
            # braceexpand makes a range as a whole, so it is not called for large ones
            names = [] if large else braceexpand(pattern)
            paths = [os.path.join(folder, n) for n in itertools.islice(names, MOST_SHARDS + 1)]
        many = f"{printable(source)} names more than {MOST_SHARDS:,} shards or has too many braces"
        refuse({many: not 0 < len(paths) <= MOST_SHARDS})
    if REMOTE.match(source):
        return paths
    found = {}  # a dict, so that each path occurs once
    for path in map(os.path.normpath, paths):
        folder, name = os.path.split(path)
        is_name = os.path.exists(path) or not glob.has_magic(path)
        folder = glob.escape(folder) if os.path.isdir(folder) else folder
        names = [path] if is_name else sorted(glob.glob(os.path.join(folder, name)))
        found |= dict.fromkeys(names)
    return [*found]
