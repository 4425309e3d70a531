"""The command that curates: what is read, what is written, and what the cap did to the balance.

python -m miniclip.data curate pairs.csv curated.csv --cap 20000 --min-count 100

A csv gives a csv: the rows that are kept, whether their pictures are there or not. Any other source
is opened as for training and gives a list of its training pairs, for train.py --pairs: the pictures
stay where they are, and what is held out stays the same.
Lesson: lessons/17_names.md.
"""

import contextlib
import csv
import itertools
import math
import os
import shlex
import types

import numpy as np

from miniclip import plots
from miniclip.common import (
    Parser,
    check_output,
    command,
    number,
    path,
    refuse,
    replacing,
)
from miniclip.data import add_source_options, open_pairs, report_skipped, source_options
from miniclip.data.curation.curate import Curated, curate
from miniclip.data.dataset import (
    LIST_COLUMNS,
    Pairs,
    checksum,
    fingerprint,
    is_as_curated,
    printable,
    words,
)
from miniclip.data.files import CSV_MARK, caption_rows, normal, read_text


class CsvRows(Pairs):
    """The rows of a csv as pairs without pictures, which need not be there.

    Rows of one picture that follow each other are one pair. Takes what open_csv takes.
    """

    def __init__(self, path, **columns):
        self.path, self.columns, skipped = path, columns, []
        self.made_of = fingerprint(path)
        self.header, _, self.separator, self.picture = caption_rows(path, **columns)
        said = [(where, own) for where, _, own in self._pairs(skipped)]
        self._wheres = [where for where, _ in said]
        self.paths = [os.path.join(os.path.dirname(path), where) for where in self._wheres]
        captions = [own for _, own in said]
        super().__init__(os.path.basename(path), captions, {"train": range(len(said))}, skipped)

    def where(self, i):
        """The path of picture i as the csv has it."""
        return self._wheres[i]

    def _pairs(self, skipped):
        """Iterate over (path as it is written, the rows of the picture, its captions)."""
        read, root = caption_rows(self.path, **self.columns)[1], os.path.dirname(self.path)
        for _, own in itertools.groupby(read, key=lambda row: row[2] and normal(root, row[2])):
            kept = []
            for line, row, where, said, why in own:
                if why:
                    skipped.append((f"line {line}", why))
                else:
                    kept.append((where, row, said))
            if kept:
                wheres, rows, captions = zip(*kept)
                yield wheres[0], rows, captions

    def write(self, out, found: Curated) -> None:
        """Write the rows of the pairs that are kept as a csv, paths relative to its folder. Raises
        UserError when the csv is no longer what it was."""
        folders = [os.path.dirname(os.path.abspath(path)) for path in (self.path, out)]
        here, there = map(os.path.realpath, folders)  # not of a file, which may be a link itself
        kept = set(found.kept["pair"].tolist())
        with _table(out, self.separator, self.header) as table:
            for i, (where, rows, _) in enumerate(self._pairs([])):
                for row in rows if i in kept else ():
                    if here != there:
                        row[self.picture] = os.path.relpath(normal(here, where), there)
                    table.writerow(row)
            changed = fingerprint(self.path) != self.made_of
            refuse({f"{printable(self.path)} changed meanwhile; curate it again": changed})


def write_list(pairs: Pairs, out, found: Curated) -> None:
    """Write number, name and query of the pairs that are kept: see dataset.keep_pairs."""
    with _table(out, ",", LIST_COLUMNS) as table:
        for query, i in map(np.void.item, found.kept[["query", "pair"]]):
            table.writerow([i, pairs.where(i), found.queries[query]])


@contextlib.contextmanager
def _table(out, separator, header):
    """`with _table(out, ",", [...]) as table:` writes a csv that replaces `out`: a csv.writer.

    Names of files may hold bytes that are not UTF-8.
    """

    def write(text):  # with \r in the terminator, the writer quotes a field that holds one
        file.write((text.removesuffix("\r\n") + "\n").encode("utf-8", "surrogateescape"))

    with replacing(out) as file:
        into = types.SimpleNamespace(write=write)
        table = csv.writer(into, delimiter=separator, lineterminator="\r\n")
        table.writerow([*header, f"{CSV_MARK}_{'0' * 64}"])
        start = file.tell()
        yield table
        file.flush()
        file.seek(start - 65)
        file.write(checksum(file.name, start))


def is_read(path, pairs: Pairs) -> bool:
    """Whether pairs are read from a file: from a picture, from a text beside it with the same name, or
    from a shard."""
    stem = os.path.splitext(os.path.realpath(path))[0]
    paths = (os.path.realpath(other.replace("\0", "")) for other in pairs.paths)
    return any(os.path.splitext(other)[0] == stem for other in paths)


def balance(found: Curated, largest=5):
    """What the cap did, as lines of text: queries by how many pairs they had, then the largest."""
    words_of = [query.count(" ") for query in found.queries]
    one, two = words_of.count(0), words_of.count(1)
    count = len(found.queries)
    yield f"{count:,} queries: {one:,} of one word, {two:,} of two, {count - one - two:,} of more"
    yield f"{'pairs of a query':<24}{'queries':>9}{'pairs before':>21}{'pairs after':>21}"

    def row(what, queries, which):
        line = f"{what:<24}{queries:>9}"
        for counts in (found.before, found.after):
            line += f"{counts[which].sum():>13,} {counts[which].sum() / counts.sum():>7.1%}"
        return line

    low = 0
    while low <= found.before.max():
        high = max(1, 10 * low)
        own = (found.before >= low) & (found.before < high)
        what = f"{low:,} to {high - 1:,}" if low else "none: no pair's rarest"
        yield row(what, f"{own.sum():,}", own)
        low = high
    yield row("all", f"{count:,}", slice(None))
    for i in np.argsort(-found.before, kind="stable")[:largest]:
        yield row(f"  {printable(found.queries[i], 22)}", "", i)
    before, after = (math.exp(_entropy(counts)) for counts in (found.before, found.after))
    yield f"effective number of queries (e to the entropy): {before:,.0f} before, {after:,.0f} after"


def _entropy(counts):
    """Of the query of a pair drawn at random, in nats."""
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log(p)).sum())


def draw(found, cap, out):
    """Draw the pairs of each query before and after, largest first, into a PNG."""
    curves, limit = {}, f"cap: {cap:,}"
    for counts, when in ((found.before, "before"), (found.after, "after")):
        sizes = np.sort(counts[counts > 0])[::-1]
        queries = np.arange(1, len(sizes) + 1)
        curves[f"{when}: {counts.sum():,} pairs"] = queries, sizes
        curves.setdefault(limit, (queries[[0, -1]], [cap, cap]))
    axes = dict(xscale="log", yscale="log", xlabel="queries, the largest first", ylabel="pairs")
    plots.lines([(curves, axes)], out, dashed=[limit])


@command("python -m miniclip.data curate")
def main(argv=None):
    """The command: write what is kept, and print the balance. Returns the exit code."""
    parser = Parser(
        prog="python -m miniclip.data curate",
        description="Keep at most so many pairs of each query (docs/data.md).",
    )
    add, count = parser.add_argument, number(int, low=1)
    add("data", type=path(str), help="emoji, icons, pairs.csv, a folder or shards")
    add("out", type=path(str), help="a csv of what is kept; for others than a csv, a list of it")
    add("--cap", type=count, default=20_000, help="pairs of a query to keep (20,000)")
    add("--min-count", type=count, default=100, help="pairs that a query must be in (100)")
    add(
        "--min-pmi",
        type=number(float),
        default=4.0,
        help="of bigrams: log2 of times more often than by chance (4)",
    )
    add("--names", type=path(str), help="a file of further queries, one a line")
    add("--plot", type=path(str), help="a PNG of the balance")
    add("--overwrite", action="store_true", help="replace what others wrote")
    add_source_options(parser)
    args = parser.parse_args(argv)
    names = read_text(args.names).splitlines() if args.names else []
    names = {" ".join(words(line)) for line in names} - {""}
    why = f"{printable(args.names)} holds no word; write one name on each line"
    refuse({why: args.names and not names})
    options = source_options(vars(args))
    pairs = open_pairs(args.data, **options, csv_as=CsvRows)
    taken = [os.path.realpath(file) for file in (args.data, args.names) if file]
    for out in filter(None, (args.out, args.plot)):
        twice = os.path.realpath(out) in taken
        refuse({f"{printable(out)} cannot be both read and written, or written twice": twice})
        if out == args.plot:
            plots.check_figure(out, args.overwrite)
        else:
            check_output(out, is_as_curated, args.overwrite)
        reads = os.path.exists(out) and not is_as_curated(out) and is_read(out, pairs)
        refuse({f"{printable(out)} is read, so it cannot be written; choose another name": reads})
        taken.append(os.path.realpath(out))
    found = curate(pairs, args.cap, args.min_count, args.min_pmi, names)
    is_csv = isinstance(pairs, CsvRows)
    if is_csv:
        pairs.write(args.out, found)
    else:
        write_list(pairs, args.out, found)
    if args.plot:
        draw(found, args.cap, args.plot)
    lost = found.pairs - found.before.sum()
    print(f"{found.pairs:,} pairs, of which {lost:,} match no query; {len(found.kept):,} are kept")
    print("\n".join(balance(found)))
    if pairs.skipped:
        print(report_skipped(pairs.skipped))
    how = ["--data", args.out] if is_csv else ["--data", args.data, "--pairs", args.out]
    print(f"train on them with {shlex.join(how)} and the same options of the source")
    return 0
