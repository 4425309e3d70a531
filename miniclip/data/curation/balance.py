"""The command that curates: what is read, what is written, and what the cap did to the balance.

python -m miniclip.data curate pairs.csv list.csv --cap 20000 --min-count 100

The source is opened as for training. What is written is a list of its training pairs that are kept,
for train.py --keep: the pictures stay where they are, and what is held out stays the same.
Lesson: lessons/17_names.md.
"""

import csv
import io
import os
import shlex

import numpy as np

from miniclip.common import Parser, check_new, command, given, number, path, refuse, replacing
from miniclip.data import SOURCE_FLAGS, open_pairs, report_skipped, source_options
from miniclip.data.curation.curate import Curated, curate
from miniclip.data.dataset import LIST_COLUMNS, Pairs, printable, words
from miniclip.data.files import read_text

COUNT = number(int, low=1)
OPTIONS = {
    "data": dict(type=path(str), help="emoji, icons, pairs.csv, a folder or shards"),
    "out": dict(type=path(str), help="a list of what is kept, for train.py --keep"),
    "--cap": dict(type=COUNT, default=20_000, help="pairs of a query to keep (20,000)"),
    "--min-count": dict(type=COUNT, default=100, help="pairs that a query must be in (100)"),
    "--min-pmi": dict(
        type=number(float),
        default=4.0,
        help="of bigrams: log2 of times more often than by chance (4)",
    ),
    "--names": dict(type=path(str), help="a file of further queries, one a line"),
    "--overwrite": dict(action="store_true", help="replace a file that is there"),
    **SOURCE_FLAGS,
}


def write_list(pairs: Pairs, out, found: Curated) -> None:
    """Write number, name and query of the pairs that are kept: see dataset.keep_pairs.

    Names of files may hold bytes that are not UTF-8.
    """
    with replacing(out) as file:
        text = io.TextIOWrapper(file, "utf-8", "surrogateescape", newline="")
        table = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        table.writerow(LIST_COLUMNS)
        for query, i in map(np.void.item, found.kept[["query", "pair"]]):
            table.writerow([i, pairs.where(i), found.queries[query]])
        text.detach()


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


@command("python -m miniclip.data curate")
def main(argv=None):
    """The command: write what is kept, and print the balance. Returns the exit code."""
    what = "Keep at most so many pairs of each query (docs/data.md)."
    args = Parser.of("python -m miniclip.data curate", what, OPTIONS).parse_args(argv)
    out = args.out
    names = read_text(args.names).splitlines() if args.names else []
    names = {" ".join(words(line)) for line in names} - {""}
    why = f"{printable(args.names)} holds no word; write one name on each line"
    refuse({why: args.names and not names})
    taken = [os.path.realpath(file) for file in (args.data, args.names) if file]
    why = f"{printable(out)} is read, so it cannot be written; choose another name"
    refuse({why: os.path.realpath(out) in taken})
    check_new(out, args.overwrite)
    pairs = open_pairs(args.data, **source_options(vars(args)))
    read, target = {os.path.realpath(path) for path in pairs.paths}, os.path.realpath(out)
    read |= {os.path.splitext(path)[0] + end for path in read for end in (".txt", ".TXT")}
    refuse({why: target in read})
    found = curate(pairs, args.cap, args.min_count, args.min_pmi, names)
    write_list(pairs, out, found)
    lost = found.pairs - found.before.sum()
    print(f"{found.pairs:,} pairs, of which {lost:,} match no query; {len(found.kept):,} are kept")
    print("\n".join(balance(found)))
    if pairs.skipped:
        print(report_skipped(pairs.skipped))
    how = shlex.join([*given("--data", args.data), *given("--keep", out)])
    print(f"train on them with {how} and the same options of the source")
    return 0
