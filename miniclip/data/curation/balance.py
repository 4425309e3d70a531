"""What the cap did: a table, a picture, and the command that makes them.

python -m miniclip.data curate pairs.csv curated.csv --cap 20000 --min-count 100
Lesson: lessons/01_names.md.
"""

import collections
import itertools
import math
import os
import shlex

import numpy as np

from miniclip import plots
from miniclip.common import Parser, UserError, check_output, command, number, path
from miniclip.data import SOURCE_OPTIONS, add_source_options, open_source
from miniclip.data.curation.curate import curate
from miniclip.data.curation.sources import CsvRows, Listed, is_read
from miniclip.data.dataset import is_as_curated, printable
from miniclip.data.emoji.dataset import words
from miniclip.data.files import read_text


def balance(found, largest=5):
    """What the cap did, as lines of text: queries by how many pairs they had, then the largest."""
    words_of = collections.Counter(min(query.count(" "), 2) for query in found.queries)
    kinds = ("of one word", "of two", "of more")
    yield f"{len(found.queries):,} queries: " + ", ".join(
        f"{words_of[n]:,} {kind}" for n, kind in enumerate(kinds)
    )
    yield f"{'pairs of a query':<24}{'queries':>9}{'pairs before':>21}{'pairs after':>21}"

    def row(what, queries, before, after):
        cells = (
            f"{n:>13,} {n / all_of:>7.1%}"
            for n, all_of in ((before, found.before.sum()), (after, found.after.sum()))
        )
        return f"{what:<24}{queries:>9}{''.join(cells)}"

    low = 0
    while low <= found.before.max():
        high = max(1, 10 * low)
        own = (found.before >= low) & (found.before < high)
        what = f"{low:,} to {high - 1:,}" if low else "none: no pair's rarest"
        yield row(what, f"{own.sum():,}", found.before[own].sum(), found.after[own].sum())
        low = high
    yield row("all", f"{len(found.queries):,}", found.before.sum(), found.after.sum())
    for i in np.argsort(-found.before, kind="stable")[:largest]:
        yield row(f"  {printable(found.queries[i], 22)}", "", found.before[i], found.after[i])
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
    parser.add_argument("data", type=path(str), help="emoji, icons, pairs.csv, a folder or shards")
    parser.add_argument(
        "out", type=path(str), help="a csv of what is kept; for others than a csv, a list of it"
    )
    count = number(int, low=1)
    parser.add_argument("--cap", type=count, default=20_000, help="pairs a query (20,000)")
    parser.add_argument(
        "--min-count", type=count, default=100, help="pairs that a word or bigram is in (100)"
    )
    parser.add_argument(
        "--min-pmi",
        type=number(float),
        default=4.0,
        help="of bigrams: log2 of times more often than by chance (4)",
    )
    parser.add_argument("--names", type=path(str), help="a file of further queries, one a line")
    parser.add_argument(
        "--workers", type=number(int, low=1, high=1000), default=1, help="processes (1)"
    )
    parser.add_argument("--plot", type=path(str), help="a PNG of the balance")
    parser.add_argument("--overwrite", action="store_true", help="replace what others wrote")
    add_source_options(parser)
    args = parser.parse_args(argv)
    taken = [os.path.realpath(file) for file in (args.data, args.names) if file]
    for out in filter(None, (args.out, args.plot)):
        if os.path.realpath(out) in taken:
            raise UserError(f"{printable(out)} cannot be both read and written, or written twice")
        taken.append(os.path.realpath(out))
    check_output(args.out, is_as_curated, args.overwrite)
    if args.plot:
        plots.check_figure(args.plot, args.overwrite)
    names = read_text(args.names).splitlines() if args.names else []
    names = {name for name in (" ".join(words(line)) for line in names) if name}
    if args.names and not names:
        raise UserError(f"{printable(args.names)} holds no word; give a name a line")
    source = open_source(args, CsvRows)
    is_csv = isinstance(source, CsvRows)
    source = source if is_csv else Listed(source)
    for out in filter(None, (args.out, args.plot)):
        if os.path.exists(out) and not is_as_curated(out) and is_read(out, source):
            raise UserError(
                f"{printable(out)} is read, so it cannot be written; choose another name"
            )
    found = curate(source, args.cap, args.min_count, args.min_pmi, names, args.workers)
    source.write(args.out, found)
    if args.plot:
        draw(found, args.cap, args.plot)
    lost = found.pairs - found.before.sum()
    print(f"{found.pairs:,} pairs, of which {lost:,} match no query; {len(found.kept):,} are kept")
    print("\n".join(balance(found)))
    if source.unused:
        print(f"left out {source.unused:,} rows that give no picture with a caption")
    how = dict(data=args.out) if is_csv else dict(data=args.data, pairs=args.out)
    how |= {name: getattr(args, name) for name in SOURCE_OPTIONS}
    flags = [(f"--{name.replace('_', '-')}", value) for name, value in how.items() if value]
    print(f"train on them with {shlex.join(itertools.chain(*flags))}")
    return 0
