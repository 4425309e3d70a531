"""The pairs to choose from, as a stream of captions, and how the chosen ones are written.

A csv is read row by row and gives a csv. Any other source is opened as for training and gives a list
of its training pairs, for train.py --pairs: the pictures stay where they are, and what is held out
stays the same.
Lesson: lessons/01_names.md.
"""

import contextlib
import csv
import itertools
import os
import types

import numpy as np

from miniclip.common import UserError, replacing
from miniclip.data.dataset import LIST_COLUMNS, BadPicture, checksum, printable
from miniclip.data.files import CSV_MARK, caption_rows
from miniclip.data.shards.index import fingerprint

CHUNK = 2_000  # pairs that a worker gets at a time


class CsvRows:
    """A csv of pairs that is never in memory as a whole. Rows of one picture that follow each other
    are one pair. Takes what open_csv takes; raises UserError."""

    unused = 0  # rows without a picture or a caption, or that are not csv

    def __init__(self, path, **columns):
        self.path, self.columns = path, columns
        self.made_of = fingerprint(path)
        self.header, _, self.separator, self.picture = caption_rows(path, **columns)

    @property
    def paths(self):
        """The paths of all pictures, an iterator."""
        return (os.path.join(os.path.dirname(self.path), where) for where, _, _ in self.pairs())

    def pairs(self):
        """Iterate over (path as it is written, the rows of the picture, its captions)."""
        self.unused = 0
        rows = caption_rows(self.path, **self.columns)[1]
        for where, own in itertools.groupby(rows, key=lambda row: row[2]):
            own = [(row, said, why) for _, row, _, said, why in own]
            said = [said for _, said, why in own if not why]
            self.unused += len(own) - len(said)
            if said:
                yield where, [row for row, _, why in own if not why], said

    def chunks(self):
        """Iterate over lists of (number of the pair, what it is called, its captions)."""
        pairs = ((i, where, said) for i, (where, _, said) in enumerate(self.pairs()))
        while chunk := list(itertools.islice(pairs, CHUNK)):
            yield chunk

    @staticmethod
    def read(chunk):
        """What a worker gets as it is."""
        return chunk

    def write(self, out, found):
        """Write the rows of the pairs that are kept as a csv, paths relative to its folder. Raises
        UserError when the csv is no longer what it was."""
        folders = [os.path.dirname(os.path.abspath(path)) for path in (self.path, out)]
        here, there = map(os.path.realpath, folders)  # not of a file, which may be a link itself
        kept = iter(found.kept["pair"])
        with _table(out, self.separator, self.header) as table:
            following = next(kept, None)
            for i, (where, rows, _) in enumerate(self.pairs()):
                if i != following:
                    continue
                for row in rows:
                    if here != there:
                        row[self.picture] = os.path.relpath(os.path.join(here, where), there)
                    table.writerow(row)
                following = next(kept, None)
            if fingerprint(self.path) != self.made_of:
                raise UserError(f"{printable(self.path)} changed meanwhile; curate it again")


class Listed:
    """The training pairs of any other source. What is written is a list for train.py --pairs."""

    unused = 0

    def __init__(self, pairs):
        self.all, self.paths = pairs, getattr(pairs, "paths", ())

    def chunks(self):
        """Iterate over arrays of indices."""
        train = np.sort(self.all.splits["train"])
        yield from (train[at : at + CHUNK] for at in range(0, len(train), CHUNK))

    def read(self, chunk):
        """Iterate over (index, what the pair is called, its captions; of icons without style)."""
        for i in chunk.tolist():
            try:
                yield i, self.all.where(i), self.all.names(i)
            except BadPicture:  # a shard that has changed: it matches nothing
                yield i, "", ()

    def write(self, out, found):
        """Write number, name and query of the pairs that are kept: see dataset.keep_pairs."""
        with _table(out, ",", LIST_COLUMNS) as table:
            for query, i in map(np.void.item, found.kept[["query", "pair"]]):
                table.writerow([i, self.all.where(i), found.queries[query]])


def is_read(path, source):
    """Whether a file is one that a source, CsvRows or Listed, reads: a picture, a text beside it with
    the same name, or a shard."""
    stem = os.path.splitext(os.path.realpath(path))[0]
    paths = (os.path.realpath(other.replace("\0", "")) for other in source.paths)
    return any(os.path.splitext(other)[0] == stem for other in paths)


@contextlib.contextmanager
def _table(out, separator, header):
    """`with _table(out, ",", [...]) as table:` writes a csv that replaces `out`: a csv.writer.

    Names of files may hold bytes that are not UTF-8.
    """
    with replacing(out) as file:
        into = types.SimpleNamespace(
            # with \r in the terminator, the writer quotes a field that holds one
            write=lambda text: file.write(
                (text.removesuffix("\r\n") + "\n").encode("utf-8", "surrogateescape")
            )
        )
        table = csv.writer(into, delimiter=separator, lineterminator="\r\n")
        table.writerow([*header, f"{CSV_MARK}_{'0' * 64}"])
        start = file.tell()
        yield table
        file.flush()
        file.seek(start - 65)
        file.write(checksum(file.name, start))
