"""Choose pairs so that no query has too many of them.

As the paper's data set was made (CLIP, section 2.2): queries are the words that are in at least
`min_count` pairs, bigrams whose words occur together far more often than by chance, and the names of
a list. A pair matches the queries that stand in its captions as whole words, and counts for the
rarest of them, the one that fewest pairs match. Of a query's pairs `cap` are kept, those with the
smallest hash of what they are called, so order and number of workers do not matter. Pairs that match
no query are left out, as a search would never have found them.

Captions are read three times: keys (words and bigrams) are counted roughly, by hash; those that may
be frequent enough are counted exactly; pairs are assigned. A rough count is never too low, so no
query is missed. Memory: 64 MiB of rough counts, the keys that may be queries, 20 bytes of each pair
that is kept, and several times these while the cap is applied. The paper gives no threshold for
bigrams; the one here is our choice. Left out: queries from another corpus than the captions, and
WordNet's synonyms.
Lesson: lessons/01_names.md.
"""

import collections
import concurrent.futures.process
import functools
import math
import multiprocessing
import signal
import sys
import zlib
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from miniclip.common import UserError
from miniclip.data.curation.sources import CHUNK
from miniclip.data.dataset import text_hash
from miniclip.data.emoji.dataset import words

BUCKETS = 1 << 24  # rough counters, 4 bytes each: enough for about 40 million captions of 10 words
PENDING = 1 << 18  # assigned pairs that are collected before the cap is applied to them
ASSIGNED = np.dtype([("query", "<i4"), ("draw", "<u8"), ("pair", "<i8")])


class Curated(NamedTuple):
    """What `curate` found. pairs: how many were read; queries: list of str, the rarest first;
    before, after: pairs of each query, (Q,) int64; kept: (K,) of ASSIGNED, by pair."""

    pairs: int
    queries: list
    before: np.ndarray
    after: np.ndarray
    kept: np.ndarray


def keys(captions, names=frozenset(), lengths=()):
    """What captions could match: a set of words, of bigrams, and of `names` of `lengths` words."""
    found = set()
    for caption in captions:
        own = words(caption)
        found.update(own, map(" ".join, zip(own, own[1:])))
        for n in lengths:
            grams = (" ".join(own[at : at + n]) for at in range(len(own) - n + 1))
            found.update(names.intersection(grams))
    return found


def _bucket(key):
    return zlib.crc32(key.encode("utf-8", "surrogatepass")) % BUCKETS


def _count_roughly(source, _, chunk):
    """First pass: (pairs, buckets, counts of them)."""
    own = [said for _, _, said in source.read(chunk)]
    counts = collections.Counter(key for said in own for key in keys(said))
    buckets = np.fromiter(map(_bucket, counts), np.uint32, len(counts))
    return len(own), buckets, np.fromiter(counts.values(), np.uint32, len(counts))


def _count_exactly(source, about, chunk):
    """Second pass: {key: pairs that match it}, of names and of what may be frequent enough."""
    frequent, names, lengths = about
    counts = collections.Counter(
        key for _, _, said in source.read(chunk) for key in keys(said, names, lengths)
    )
    return {key: n for key, n in counts.items() if frequent[_bucket(key)] or key in names}


def _assign(source, about, chunk):
    """Third pass: (n,) of ASSIGNED, the pairs that match a query."""
    rank, names, lengths = about
    rows = []
    for i, where, said in source.read(chunk):
        if matched := [rank[key] for key in keys(said, names, lengths) if key in rank]:
            rows.append((min(matched), text_hash(where), i))
    return np.array(rows, ASSIGNED)


def capped(rows, cap):
    """The `cap` rows of each query with the smallest draws: (n,) of ASSIGNED -> (m,)."""
    rows = rows[np.lexsort((rows["pair"], rows["draw"], rows["query"]))]
    first = np.searchsorted(rows["query"], rows["query"])
    return rows[np.arange(len(rows)) - first < cap]


def choose_queries(counts, pairs, names, min_count, min_pmi):
    """The queries, list of str, the rarest first: by the number of pairs, then by the alphabet.

    A bigram's pointwise mutual information is log2 of the pairs that it is in, over the pairs that
    would have both its words if these were independent of each other.
    """

    def is_query(key):
        n, parts = counts[key], key.split(" ")
        if key in names or n < min_count or len(parts) == 1:
            return key in names or n >= min_count
        return math.log2(n * pairs / (counts[parts[0]] * counts[parts[1]])) >= min_pmi

    return sorted(filter(is_query, counts), key=lambda key: (counts[key], key))


def curate(source, cap=20_000, min_count=100, min_pmi=4.0, names=(), workers=1):
    """Choose pairs of a source, CsvRows or Listed: Curated.

    names: further queries, lower-case words with single spaces between them. Raises UserError when
    there is no query.
    """
    names = frozenset(names)
    lengths = sorted({name.count(" ") + 1 for name in names} - {1, 2})
    rough, pairs = np.zeros(BUCKETS, np.uint32), 0
    for n, buckets, counts in _each(_count_roughly, source, None, workers, "counting roughly"):
        np.add.at(rough, buckets, counts)
        pairs += n
    frequent, rough = rough >= min_count, None
    counts, about = collections.Counter(), (frequent, names, lengths)
    for own in _each(_count_exactly, source, about, workers, "counting exactly"):
        counts.update(own)
    queries = choose_queries(counts, pairs, names, min_count, min_pmi)
    if not queries:
        raise UserError(f"no word is in {min_count:,} of {pairs:,} pairs; lower --min-count")
    counts = about = frequent = None
    before = np.zeros(len(queries), np.int64)
    rank = {query: i for i, query in enumerate(queries)}
    kept, waiting, held = np.empty(0, ASSIGNED), [], 0
    for rows in _each(_assign, source, (rank, names, lengths), workers, "assigning"):
        before += np.bincount(rows["query"], minlength=len(queries))
        waiting.append(rows)
        held += len(rows)
        if held >= max(PENDING, len(kept)):
            kept, waiting, held = capped(np.concatenate([kept, *waiting]), cap), [], 0
    kept = capped(np.concatenate([kept, *waiting]), cap)
    after = np.bincount(kept["query"], minlength=len(queries))
    return Curated(pairs, queries, before, after, kept[np.argsort(kept["pair"])])


def _each(work, source, about, workers, title):
    """work(source, about, chunk) of each chunk, in order. At most three a worker are in memory."""
    work, waiting = functools.partial(work, source, about), collections.deque()
    bar = tqdm(source.chunks(), title, unit_scale=CHUNK, unit=" pairs", disable=None)
    if workers == 1:
        yield from map(work, bar)
        return
    # where there is no fork, source and `about` are sent to each worker once
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else None)
    try:
        with concurrent.futures.ProcessPoolExecutor(workers, context, _start, (work,)) as pool:
            for chunk in bar:
                waiting.append(pool.submit(_do, chunk))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
    except concurrent.futures.process.BrokenProcessPool:
        raise UserError("a worker was killed, perhaps for its memory; lower --workers") from None


def _start(work):
    global _work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the process that gives the work
    _work = work


def _do(chunk):
    return _work(chunk)
