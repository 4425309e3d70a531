"""What the laws of lessons/exercises/ex02_2_learn.py count. Look after you have written your own."""

from collections import Counter

from miniclip.bpe.merges import merge


def pairs_before_each_merge(corpus, merges):
    """Yields (pair that is joined, {pair: how often it occurs then}); last (None, what is left)."""
    words = [(list(word), times) for word, times in corpus.items()]
    for pair, new in [*merges.items(), (None, None)]:
        pairs = Counter()
        for ids, times in words:
            for neighbours in zip(ids, ids[1:]):
                pairs[neighbours] += times
        yield pair, pairs
        words = [(merge(ids, pair, new), times) for ids, times in words]
