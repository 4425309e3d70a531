"""What every source of pairs offers: pictures, captions, splits (CLIP, section 2.2).

Training, evaluation and the loader use pairs only through the class Pairs, so they need not know
whether the pairs come from the built-in emoji, a csv, a folder or shards. A pair is one picture
with one or several captions. A picture that occurs under two names is one pair with two captions.
As two pairs, they would be false negatives of each other: the caption of one would count as wrong
for the picture of the other, although it fits.
"""

import csv
import errno
import functools
import hashlib
import json
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import regex

from miniclip.common import UserError, checked, number, refuse

HELD_OUT_ONE_IN = 10
MOST_LINE = 1 << 24  # characters in one line of a csv
MOST_TEXT_BYTES = 1 << 20  # in a file of captions; also the most characters in one field of a csv
_CONTROLS = dict.fromkeys([*range(32), *range(127, 160)], " ")
LIST_COLUMNS = ["pair", "name", "query"]  # the header of a list of pairs that curation/ writes


class BadPicture(UserError):
    """A picture that cannot be used; the message is a sentence that says why."""


def file_size(path) -> int:
    """The size of a file in bytes.

    Raises OSError when the file cannot be looked at, is empty, or is not a plain file. Reading a
    pipe or a device could block for ever.
    """
    size, is_file = os.stat(path).st_size, os.path.isfile(path)
    if not (size and is_file):
        raise OSError(errno.EINVAL, "an empty file" if is_file else "not a file", path)
    return size


def must_exist(path, expected: str) -> None:
    """Raise UserError unless there is a file or a folder at `path`. expected: what it should be."""
    shown, is_usable = printable(path), os.path.isdir(path) or os.path.isfile(path)
    refuse(
        {
            f"{shown} is a pipe or a device; save its content as a file": (
                os.path.exists(path) and not is_usable
            ),
            f"{shown} not found; expected {expected}": not is_usable,
        }
    )


def fingerprint(path) -> list:
    """Values that differ after a file was changed or replaced: its path, size, times and inode
    number. If the file cannot be looked at, the list holds only its path."""
    try:
        status = os.stat(path)
        # both times, because programs can set mtime, but not ctime
        return [path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
    except (OSError, ValueError):
        return [path]


class Pairs:
    """Pictures with captions, indexed from 0.

    name: what the source is called.
    splits: {name of a split: its indices}. There is always a split "train".
    skipped: [(name, reason)] of what was left out when the source was opened.
    packages: {name: version} of the packages that the pictures depend on, if the source names them.

    A subclass defines `image`. If smaller pictures can be loaded faster, it defines
    `load_downscaled` instead. The following are None or empty unless a source has them:

    paths: the files that are read.
    rows: for each picture, the list of its rows in the table of emoji.
    tones: a method. tones(i) gives the skin tones in the name of picture i.
    class_names: the names of the classes that the source brings. A source that has them also has a
        method label: label(i) is the position of picture i's class, or -1 if it has none.
    credits: lines of text that say whose work the pictures are.
    homes: for each icon, the names of the families of icons that hold it (icons/families.py).
    """

    packages = {}
    rows = tones = None
    paths = class_names = credits = homes = ()

    def __init__(self, name, captions, splits, skipped=()):
        self.name, self.splits, self.skipped = name, splits, list(skipped)
        self._captions = [tuple(c) for c in captions]

    def __len__(self) -> int:
        return len(self._captions)

    def image(self, i):
        """Picture i as a PIL image of mode RGB, upright. Several threads may call this method at
        the same time. Raises BadPicture."""
        return self.load_downscaled(i, None)

    def load_downscaled(self, i, side):
        """Picture i for a user who needs only `side` pixels along its short side.

        The picture may be smaller than image(i) by a power of two, if that is faster to load. side
        None: the full size. Raises BadPicture.
        """
        return self.image(i)

    def captions(self, i) -> tuple[str, ...]:
        """All captions of picture i, a tuple of str; the first is the canonical one."""
        return self._captions[i]

    def caption(self, i, rng) -> str:
        """The caption of picture i in one epoch, drawn with `rng`, a numpy Generator."""
        own = self.captions(i)
        return own[int(rng.integers(len(own)))]

    def names(self, i) -> tuple[str, ...]:
        """The names of what picture i shows. With --unique-names, two pictures that share a name go
        into different batches if that is possible."""
        return self.captions(i)

    def stamp(self, i):
        """A value that differs after picture i has changed, or None if there is no such value.

        JSON can express the value. For a source with `packages` it holds their versions, and for
        pictures in files the `fingerprint` of the file.
        """
        return [self.packages, i] if self.packages else None

    def where(self, i) -> str:
        """The name that messages give to picture i."""
        return self._captions[i][0]

    @functools.cached_property
    def digest(self) -> str:
        """The SHA-256, in hex, of the list of training indices and of the names and captions of all
        pairs."""
        return self._digest(range(len(self)))

    def _digest(self, indices):
        digest = hashlib.sha256(np.asarray(self.splits["train"], np.int64))
        for i in indices:
            digest.update(json.dumps([self.where(i), *self.captions(i)]).encode())
        return digest.hexdigest()

    def hashes_of(self, i, name: str | None = None) -> set[int]:
        """Numbers below 2^63. Two pairs are taken for the same pair if they share one of them, also
        if they come from different sources, or if one of them has only some of the captions.

        For each caption there is a hash of the caption and of the picture's file name, without
        folders, and another one if its accents can be written in another form. The hash of the file
        name and all captions is added, because older checkpoints have only that one. The set is
        empty if a pair of this source cannot be recognized. name: replaces the file name."""
        name = (name or self.where(i)).replace("\\", "/").rpartition("/")[2]
        own = sorted(self.captions(i))
        each = {*own, *(unicodedata.normalize("NFC", caption) for caption in own)}
        return {text_hash(json.dumps([name, *some])) >> 1 for some in (own, *([c] for c in each))}

    def order(self, indices, seed, epoch) -> np.ndarray:
        """`indices` in the order of one epoch: int64, see `shuffled`."""
        return shuffled(indices, seed, epoch)

    def gallery(self, split):
        """The indices of the pictures that retrieval compares with a caption of `split`: here, the
        pictures of the split itself."""
        return self.splits[split]

    def queries(self, split, k=8):
        """At most k examples for retrieval: ([texts], [index of the picture that each text
        describes])."""
        indices = self.splits[split]
        k = min(k, len(indices))
        chosen = [indices[j * len(indices) // k] for j in range(k)]
        return [self.captions(i)[0] for i in chosen], chosen


class Joined(Pairs):
    """The pairs of `first`, followed by the pairs of `second`, which are held out as "val"."""

    def __init__(self, first, second):
        self.parts, self.starts = (first, second), (0, len(first))
        # a run measures the first split that is held out, so "val" comes before those of `first`
        splits = {
            "train": [],
            "val": [*range(len(first), len(first) + len(second))],
            **first.splits,
        }
        super().__init__(first.name, (), splits, first.skipped + second.skipped)

    def __len__(self):
        return sum(map(len, self.parts))

    def _of_source(self, method, i, *more):
        """Call a method of the source of pair i, with the pair's index in that source."""
        i += len(self) * (i < 0)
        k = int(i >= self.starts[1])
        return getattr(self.parts[k], method)(i - self.starts[k], *more)

    load_downscaled = functools.partialmethod(_of_source, "load_downscaled")
    captions = functools.partialmethod(_of_source, "captions")
    stamp = functools.partialmethod(_of_source, "stamp")
    where = functools.partialmethod(_of_source, "where")
    hashes_of = functools.partialmethod(_of_source, "hashes_of")

    @functools.cached_property
    def digest(self):
        """The SHA-256, in hex, of the digests of both sources."""
        return hashlib.sha256("".join(part.digest for part in self.parts).encode()).hexdigest()

    def order(self, indices, seed, epoch):
        """`indices` in the order in which the first source reads them in an epoch."""
        return self.parts[0].order(indices, seed, epoch)


def shuffled(indices, seed: int, epoch: int) -> np.ndarray:
    """A permutation of `indices`, int64, that is a function of (seed, epoch) and nothing else."""
    return np.random.default_rng((seed, epoch)).permutation(np.asarray(indices, np.int64))


def changed_packages(then: dict, now: dict) -> str:
    """The packages whose version has changed: "a 1.2 (was 1.1)", or "" if there are none.

    then, now: the Pairs.packages of a run when it began, and now.
    """
    return ", ".join(
        f"{package} {now.get(package)} (was {version})"
        for package, version in then.items()
        if now.get(package) != version
    )


@checked
def keep_pairs(pairs: Pairs, kept: int | str | Path | None) -> None:
    """Keep only some of the pairs in the split "train".

    kept: the number of pairs to train on, or the path of a list that `curate` wrote, or None for
    all pairs. A number chooses the same pairs each time. Raises UserError when the list does not
    fit the pairs, or when the number is below 1.
    """
    train = pairs.splits["train"]
    if isinstance(kept, (str, os.PathLike)):
        pairs.splits["train"] = _listed(pairs, kept)
    elif kept is not None and kept < len(train):
        refuse({f"the number of pairs to keep must be at least 1, not {kept}": kept < 1})
        pairs.splits["train"] = sorted(shuffled(train, 0, 0)[:kept].tolist())


def some_pairs(text):
    """The argparse type of --pairs: a number of pairs, or the path of a list of pairs.

    Newer versions have the option --keep for a list, but --pairs still takes it.
    """
    return number(int, low=1)(text) if text.isdigit() or not os.path.isfile(text) else text


def _listed(pairs, path):
    """The indices in a list that `curate` wrote.

    Each pair must have the name that the list gives, and the query of the list must be in one of
    its captions, because other records or shards may have the same names. Reading from a shard
    takes long, so for shards only some pairs of a long list are compared. Raises UserError, or
    OSError when the file cannot be read.
    """
    train, found, others, last = pairs.splits["train"], [], False, ""
    refuse({f"{printable(path)} cannot be read: no file is there": not os.path.isfile(path)})
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            rows = csv.reader((last := line for line in lines(file)), strict=True)
            if (columns := next(rows, [])[:3]) == LIST_COLUMNS:
                for number, (i, name, query) in enumerate(rows):
                    found.append(int(i))
                    # shards read each name and caption from the disk
                    if number < 1000 or number % 100 == 0 or hasattr(pairs, "wheres"):
                        is_there = 0 <= found[-1] < len(pairs) and pairs.where(found[-1]) == name
                        others = others or not is_there or not _matches(pairs, found[-1], query)
    except (ValueError, OverflowError, csv.Error):
        raise UserError(f"{printable(path)} is damaged after {len(found):,} pairs") from None
    known = found and np.isin(found, train).all() and len(np.unique(found)) == len(found)
    refuse(
        {
            f"{printable(path)} is not a list that curate wrote": columns != LIST_COLUMNS,
            f"{printable(path)} is cut off: its last line does not end; run curate again": (
                not last.endswith(("\n", "\r"))
            ),
            f"{printable(path)} does not fit the training pairs of {printable(pairs.name)}; run "
            "curate again, with the options for the source that you give here": not (
                known and not others
            ),
        }
    )
    return np.array(found) if isinstance(train, np.ndarray) else found


def _matches(pairs, i, query):
    """Whether a query of `curate` is in a name of pair i, as whole words."""
    query = " ".join(words(query))  # older lists may have another form of its accents
    return any(f" {query} " in f" {' '.join(words(name))} " for name in pairs.names(i))


def file_hash(path, kind: str):
    """The hash of a file, of a kind such as "sha256", as hashlib's object. The file is mapped,
    because weights would take much memory if they were read as a whole."""
    # an empty file cannot be mapped
    return hashlib.new(kind, np.memmap(path, mode="r") if os.path.getsize(path) else b"")


def sha256(path) -> str:
    """The SHA-256, in hex, of a file."""
    return file_hash(path, "sha256").hexdigest()


def lines(file):
    """Yield the lines of an open file, text or bytes. Raises UserError for a line that is far too
    long."""
    while line := file.readline(MOST_LINE):
        if len(line) == MOST_LINE:
            raise UserError(
                f"{printable(file.name)} has a line of more than 16 MiB; is it a text file?"
            )
        yield line


def text_hash(text: str) -> int:
    """A number below 2^64, the same on every machine: the first 8 bytes of the text's SHA-256."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big")


def is_held_out(text: str) -> bool:
    """Whether the hash of `text` falls into the tenth that is held out."""
    return text_hash(text) % HELD_OUT_ONE_IN == 0


def words(text: str) -> list[str]:
    """The words of a text, lower-case: runs of letters and digits, without punctuation. Accents and
    vowel signs belong to the letter before them, and so do the joiners of Hindi or Persian. The two
    forms in which an accent can be written, such as a Mac's in names of files, are the same."""
    text = unicodedata.normalize("NFC", text).lower()
    return regex.findall(r"[\p{L}\p{N}][\p{L}\p{N}\p{M}\u200c\u200d]*", text)


def one_line(text: str) -> str:
    """A caption as miniclip uses it: on one line, with single spaces, and without control
    characters such as ESC, which a terminal would obey."""
    return " ".join(text.translate(_CONTROLS).split())


def texts(said, what: str = "a caption") -> Iterator[str]:
    """Yield the texts of a caption, which is a text or a list of texts. None is no text. Raises
    BadPicture for a value of another type. what: what the message calls the caption."""
    for text in said if isinstance(said, (list, tuple)) else [said]:
        if isinstance(text, str):
            yield text
        elif text is not None:
            # jsonl: a float for every number
            kind = "a number" if isinstance(text, (int, float)) else f"a {type(text).__name__}"
            raise BadPicture(f"{what} is a text or a list of texts, and {kind} is no text")


def report_skipped(skipped, shown=3, head="left out") -> str:
    """One sentence about what was left out, or '' if nothing was. skipped: [(name, reason)], of
    which the first `shown` are named. head: how the sentence begins."""
    few = [f"{printable(name)} ({printable(reason)})" for name, reason in skipped[:shown]]
    more = f" and {len(skipped) - shown:,} more" if len(skipped) > shown else ""
    return f"{head} {len(skipped):,}: {', '.join(few)}{more}" if skipped else ""


def print_skipped(skipped) -> None:
    """Print what was left out, if anything was. skipped: as for report_skipped."""
    if skipped:
        print(report_skipped(skipped))


def printable(text, longest=80) -> str:
    """`text` on one line of a terminal: control characters escaped, the middle cut if it is
    long."""
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
    cut = text[: longest // 2 - 2] + " ... " + text[-(longest // 2) + 3 :]
    return cut if len(text) > longest else text
