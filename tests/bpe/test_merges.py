"""Byte-pair merging: the laws of joining, of replaying the joins, and of learning them."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from miniclip.bpe.merges import learn_merges, merge, segment

symbols = st.lists(st.integers(0, 3), max_size=12)  # few symbols, so that pairs repeat and overlap
corpora = st.dictionaries(st.lists(st.integers(0, 2), max_size=7).map(tuple), st.integers(1, 4))


def spelled(ids, merges):
    """Ids with every merge undone."""
    parts = {new: pair for pair, new in merges.items()}
    out = []
    for i in ids:
        out += spelled(parts[i], merges) if i in parts else [i]
    return out


def learn_by_recounting(words, n, first):
    """The definition: count everything, join the best, start again."""
    words = {word: (list(word), count) for word, count in words.items()}
    merges = {}
    while len(merges) < n:
        counts = Counter()
        for ids, count in words.values():
            for pair in zip(ids, ids[1:]):
                counts[pair] += count
        best = min(counts, key=lambda pair: (-counts[pair], pair), default=None)
        if best is None or counts[best] < 2:
            break
        merges[best] = first + len(merges)
        words = {w: (merge(ids, best, merges[best]), count) for w, (ids, count) in words.items()}
    return merges


@given(symbols, st.tuples(st.integers(0, 3), st.integers(0, 3)))
def test_merging_loses_nothing_and_leaves_no_pair(ids, pair):
    merged = merge(ids, pair, 9)
    assert spelled(merged, {pair: 9}) == ids
    assert pair not in zip(merged, merged[1:])


def test_overlapping_pairs_are_merged_from_the_left():
    assert merge([1, 1, 1, 1, 1], (1, 1), 2) == [2, 2, 1]


@given(symbols, corpora)
def test_merges_apply_in_the_order_they_were_learned(ids, corpus):
    merges = learn_merges(corpus, 9, 10)
    one_by_one = ids
    for pair, new in merges.items():
        one_by_one = merge(one_by_one, pair, new)
    assert segment(ids, merges) == one_by_one


@given(corpora, st.integers(0, 12))
def test_learning_equals_counting_everything_again_each_time(corpus, n):
    assert list(learn_merges(corpus, n, 10).items()) == list(
        learn_by_recounting(corpus, n, 10).items()
    )
