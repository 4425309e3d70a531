"""Choose pairs so that no query has too many of them.

As the paper's data set was made (CLIP, section 2.2): queries are the words that are in at least
`min_count` pairs, bigrams whose words occur together far more often than by chance, and the names of
a list. A pair matches the queries that stand in its captions as whole words, and counts for the
rarest of them, the one that fewest pairs match. Of a query's pairs `cap` are kept, those with the
smallest hash of what they are called, so their order does not matter. Pairs that match no query are
left out, because a search would never have found them.

Captions are read three times: to count words, to count the bigrams of frequent words, and to assign
each pair to a query. The counts are in memory, and 20 bytes of each pair that matches a query;
docs/data.md says how much that is. The paper gives no threshold for bigrams; the one here is our
choice. Left out: queries from another corpus than the captions, and WordNet's synonyms.
Lesson: lessons/17_names.md.
"""

import collections
import math
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from miniclip.common import refuse
from miniclip.data.dataset import BadPicture, Pairs, text_hash, words

ASSIGNED = np.dtype([("query", "<i4"), ("draw", "<u8"), ("pair", "<i8")])


class Curated(NamedTuple):
    """What `curate` found. pairs: how many were read; queries: list of str, the rarest first;
    before, after: pairs of each query, (Q,) int64; kept: (K,) of ASSIGNED, by pair."""

    pairs: int
    queries: list
    before: np.ndarray
    after: np.ndarray
    kept: np.ndarray


def keys(captions, names=frozenset(), lengths=()) -> set[str]:
    """What captions could match: a set of words, of bigrams, and of `names` of `lengths` words."""
    found = set()
    for caption in captions:
        own = words(caption)
        found.update(own, map(" ".join, zip(own, own[1:])))
        for n in lengths:
            grams = (" ".join(own[at : at + n]) for at in range(len(own) - n + 1))
            found.update(names.intersection(grams))
    return found


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


def curate(pairs: Pairs, cap=20_000, min_count=100, min_pmi=4.0, names=()) -> Curated:
    """Choose among the training pairs.

    names: further queries, lower-case words with single spaces between them. Raises UserError when
    there is no query.
    """
    names = frozenset(names)
    lengths = sorted({name.count(" ") + 1 for name in names} - {1, 2})
    train = np.sort(pairs.splits["train"]).tolist()

    def keys_of_each(title):
        for i in tqdm(train, title, unit=" pairs", unit_scale=True, disable=None):
            try:
                said = pairs.names(i)
            except BadPicture:  # a shard has changed; its pair matches nothing
                said = ()
            yield i, keys(said, names, lengths)

    counts = collections.Counter()
    for _, own in keys_of_each("counting words"):
        counts.update(key for key in own if " " not in key)
    # most different bigrams are rare, and one of a rare word cannot be frequent
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
