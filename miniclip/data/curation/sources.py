"""The pairs to choose from, as a stream of captions, and how the chosen ones are written.

A csv is read row by row and gives a csv. Any other source is opened as for training and gives a list
of its training pairs, for train.py --pairs: the pictures stay where they are, and what is held out
stays the same.
Lesson: lessons/01_names.md.
"""

import csv
import itertools
import os
import types

import numpy as np

from miniclip.common import replacing
from miniclip.data.dataset import LIST_COLUMNS, BadPicture
from miniclip.data.files import caption_rows

CSV_MARK = "curated_by_miniclip"  # the last column, without values, of a csv that curate wrote
PLOT_MARK = b"Software\0miniclip"  # in a PNG that it drew
CHUNK = 2_000  # pairs that a worker gets at a time


class CsvRows:
    """A csv of pairs that is never in memory as a whole. Rows of one picture that follow each other
    are one pair. Takes what open_csv takes; raises UserError."""

    unused = 0  # rows without a picture or a caption, or that are not csv

    def __init__(self, path, **columns):
        self.path, self.columns = path, columns
        self.header, _, self.separator, self.picture = caption_rows(path, **columns)

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
        """Write the rows of the pairs that are kept as a csv, paths relative to its folder."""
        here, there = (os.path.dirname(os.path.abspath(path)) for path in (self.path, out))
        kept = iter(found.kept["pair"])
        with replacing(out) as file:
            table = _table(file, self.separator)
            table.writerow([*self.header, *[CSV_MARK] * (self.header[-1] != CSV_MARK)])
            following = next(kept, None)
            for i, (where, rows, _) in enumerate(self.pairs()):
                if i != following:
                    continue
                for row in rows:
                    if here != there:
                        row[self.picture] = os.path.relpath(os.path.join(here, where), there)
                    table.writerow(row)
                following = next(kept, None)


class Listed:
    """The training pairs of any other source. What is written is a list for train.py --pairs."""

    unused = 0

    def __init__(self, pairs):
        self.all = pairs

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
        with replacing(out) as file:
            table = _table(file, ",")
            table.writerow(LIST_COLUMNS)
            for query, i in map(np.void.item, found.kept[["query", "pair"]]):
                table.writerow([i, self.all.where(i), found.queries[query]])


def is_curated(path):
    """Whether curate wrote a file: a list of pairs, a csv with the mark in its header, or a plot."""
    with open(path, "rb") as file:
        first, rest = file.readline(1 << 16).strip(), file.read(1 << 10)
    return (
        first == ",".join(LIST_COLUMNS).encode()
        or first.endswith(CSV_MARK.encode())
        or PLOT_MARK in rest
    )


def _table(file, separator):
    """A csv.writer into a binary file. Names of files may hold bytes that are not UTF-8."""
    into = types.SimpleNamespace(
        write=lambda text: file.write(text.encode("utf-8", "surrogateescape"))
    )
    return csv.writer(into, delimiter=separator, lineterminator="\n")
