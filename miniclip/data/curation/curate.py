"""Choose pairs so that no query has too many of them.

    python -m miniclip.data curate pairs.csv list.csv --cap 20000 --min-count 100

This follows the paper's data set (CLIP, section 2.2). There are three kinds of queries:

- words that are in at least `min_count` pairs
- bigrams, which are two neighbouring words. They too must be in at least `min_count` pairs, and the
  two words must occur together far more often than by chance
- names from a list that the user gives

A pair matches the queries that occur in its captions as whole words. It counts for the rarest of
these queries, the one that the fewest pairs match. At most `cap` pairs of each query are kept. They
are the pairs whose names have the smallest hashes, so the order of the pairs does not matter. Pairs
that match no query are left out: the paper collected its pairs by searching for queries, and this
search would not have found them.

Captions are read three times: to count words, to count the bigrams of frequent words, and to assign
each pair to a query. Memory holds the counts, and 20 bytes for each pair that matches a query;
docs/data.md says how much that is. The paper gives no threshold for bigrams, so the one here is our
choice. Left out: queries from a corpus other than the captions, and WordNet's synonyms.

The command opens the source as for training, and writes a list of the training pairs that are kept,
for train.py --keep. The pictures stay where they are, and the held-out pairs stay the same. No file
is replaced except such a list.
Lesson: lessons/17_names.md.
"""

import collections
import csv
import io
import math
import os
from collections.abc import Iterable

import numpy as np
from tqdm import tqdm

from miniclip.common import (
    check_new,
    checked,
    command,
    first_bytes,
    given,
    number,
    path,
    refuse,
    replacing,
    shell_line,
)
from miniclip.data import SOURCE_FLAGS, open_pairs
from miniclip.data.dataset import (
    LIST_COLUMNS,
    Pairs,
    print_skipped,
    printable,
    text_hash,
    texts,
    words,
)
from miniclip.data.files import read_lines

ASSIGNED = np.dtype([("query", "<i4"), ("draw", "<u8"), ("pair", "<i8")])

OPTIONS = {
    "data": dict(type=path(str), help="emoji, icons, pairs.csv, a folder or shards"),
    "out": dict(type=path(), help="file for the list of kept pairs, for train.py --keep"),
    "--cap": dict(
        type=number(int, low=1), default=20_000, help="the most pairs to keep of a query (20,000)"
    ),
    "--min-count": dict(
        type=number(int, low=1),
        default=100,
        help="a word or bigram can be a query if at least this many pairs have it (100)",
    ),
    "--min-pmi": dict(
        type=number(float),
        default=4.0,
        help="a bigram can be a query if it occurs at least 2 to this power times as often as by "
        "chance (4)",
    ),
    "--names": dict(type=path(str), help="a file of further queries, one on each line"),
    "--overwrite": dict(action="store_true", help="replace the list if it exists"),
    **SOURCE_FLAGS,
}


# The result of `curate`. pairs: how many were read. queries: list of str, the rarest first. before,
# after: how many pairs each query had and has kept, (Q,) int64. kept: (K,) of ASSIGNED, sorted by
# pair.
Curated = collections.namedtuple("Curated", "pairs queries before after kept")


def keys(captions, names=frozenset(), lengths=()) -> set[str]:
    """The set of everything in captions that could be a query: words, bigrams, and names.

    names: the names to look for. lengths: the numbers of words that these names have, without 1 and
    2, because all words and bigrams are in the set anyway.
    """
    found = set()
    for caption in captions:
        own = words(caption)
        found.update(own, map(" ".join, zip(own, own[1:])))
        for n in lengths:
            grams = (" ".join(own[at : at + n]) for at in range(len(own) - n + 1))
            found.update(names.intersection(grams))
    return found


def capped(rows, cap):
    """The rows that are kept: (n,) of ASSIGNED -> (m,). Of the rows of each query, these are the
    `cap` rows whose field "draw", a hash, is smallest."""
    rows = rows[np.lexsort((rows["pair"], rows["draw"], rows["query"]))]
    first = np.searchsorted(rows["query"], rows["query"])
    return rows[np.arange(len(rows)) - first < cap]


def choose_queries(counts, pairs, names, min_count, min_pmi):
    """The queries: list of str, sorted by the number of their pairs and then by the alphabet.

    counts: {what could be a query: the number of pairs that have it}. pairs: the number of all
    pairs. A bigram's pointwise mutual information is log2 of a ratio: the number of pairs that have
    it, over the number that would have both words if the two words were independent of each other.
    """

    def is_query(key):
        n, parts = counts[key], key.split(" ")
        if key in names or n < min_count or len(parts) == 1:
            return key in names or n >= min_count
        return math.log2(n * pairs / (counts[parts[0]] * counts[parts[1]])) >= min_pmi

    return sorted(filter(is_query, counts), key=lambda key: (counts[key], key))


@checked
def curate(
    pairs: Pairs,
    cap: int = 20_000,
    min_count: int = 100,
    min_pmi: float = 4.0,
    names: Iterable = (),
) -> Curated:
    """Choose among the training pairs.

    cap, min_count, min_pmi: as for the command. names: further queries, of one or several words
    each. Raises UserError when there is no query.
    """
    names = [*texts([*names], "a name")]
    refuse({f'the name "{printable(n)}" has no words; leave it out': not words(n) for n in names})
    names = {" ".join(words(name)) for name in names}
    lengths = sorted({name.count(" ") + 1 for name in names} - {1, 2})
    train = np.sort(pairs.splits["train"]).tolist()
    refuse(
        {
            f"{printable(pairs.name)} has no training pairs; all are held out": not train,
            f"cap must be at least 1, not {cap}": cap < 1,
            f"min_pmi must be a number, not {min_pmi}": min_pmi != min_pmi,
        }
    )

    def keys_of_each(title):
        for i in tqdm(train, title, unit=" pairs", unit_scale=True, disable=None):
            yield i, keys(pairs.names(i), names, lengths)

    counts = collections.Counter()
    for _, own in keys_of_each("counting words"):
        counts.update(key for key in own if " " not in key)
    # Only bigrams of frequent words are counted, because a bigram with a rare word cannot be
    # frequent. This saves memory: most different bigrams are rare.
    frequent = {word for word, n in counts.items() if n >= min_count}
    for _, own in keys_of_each("counting bigrams"):
        several = [key for key in own if " " in key]
        counts.update(k for k in several if k in names or frequent.issuperset(k.split(" ")))
    queries = choose_queries(counts, len(train), names, min_count, min_pmi)
    refuse({f"no word is in {min_count:,} of {len(train):,} pairs; lower --min-count": not queries})
    rank = {query: k for k, query in enumerate(queries)}

    def assigned():
        for i, own in keys_of_each("assigning pairs"):
            if matched := [rank[key] for key in own if key in rank]:
                yield min(matched), text_hash(pairs.where(i)), i

    rows = np.fromiter(assigned(), ASSIGNED)
    kept = capped(rows, cap)
    before, after = (np.bincount(r["query"], minlength=len(queries)) for r in (rows, kept))
    return Curated(len(train), queries, before, after, kept[np.argsort(kept["pair"])])


def write_list(pairs: Pairs, out, found: Curated, overwrite: bool = True) -> None:
    """Write the number, the name and the query of each kept pair, for dataset.keep_pairs.

    The names may be names of files, and may hold bytes that are not UTF-8. overwrite: as for
    `replacing`.
    """
    with replacing(out, overwrite=overwrite) as file:
        text = io.TextIOWrapper(file, "utf-8", "surrogateescape", newline="")
        table = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        table.writerow(LIST_COLUMNS)
        for query, i in map(np.void.item, found.kept[["query", "pair"]]):
            table.writerow([i, pairs.where(i), found.queries[query]])
        text.detach()


def _is_list(path):
    """Whether a file begins as `write_list` begins it. No other file is replaced, because it may be a
    picture or a caption of the source, even one that was left out."""
    start = first_bytes(path, 99).replace(b'"', b"").decode(errors="replace")
    return start.startswith(",".join(LIST_COLUMNS) + "\n")


@command(
    "python -m miniclip.data curate",
    "Keep at most --cap pairs of each query (docs/data.md).",
    OPTIONS,
)
def main(data, out, cap, min_count, min_pmi, names, overwrite, **source):
    """The command: write the list of kept pairs, and print how many they are. source:
    SOURCE_FLAGS."""
    refuse(
        {
            f"{printable(out)} exists, and curate did not write it; choose another name": (
                os.path.isfile(out) and not _is_list(out)
            ),
            f"{printable(out)} is the source itself; choose another name": (
                os.path.realpath(out) == os.path.realpath(data)
            ),
        }
    )
    check_new(out, overwrite)
    names = read_lines(names, "names") if names else ()
    pairs = open_pairs(data, **source)
    found = curate(pairs, cap, min_count, min_pmi, names)
    write_list(pairs, out, found, overwrite)
    print(
        f"{found.pairs:,} pairs, of which {found.pairs - found.before.sum():,} match no query; "
        f"{len(found.kept):,} are kept"
    )
    large = found.before > cap
    before, after = (f"{counts[large].sum():,}" for counts in (found.before, found.after))
    print(
        f"{large.sum():,} of {len(large):,} queries had more than {cap:,} pairs: {before} pairs, "
        f"of which {after} are kept"
    )
    known = {*found.queries}
    print_skipped(
        pairs.skipped
        + [(n, "a name that no pair has") for n in names if " ".join(words(n)) not in known]
    )
    options = shell_line([*given("--data", data), *given("--keep", out)])
    print(f"train on them with {options}, and with the options of the source that you gave here")
