"""Plausible wrong ways to learn merges."""

from collections import Counter as _Counter

from miniclip.bpe.merges import merge as _merge


def _learn(words, n, first, weight=lambda times: times, key=lambda p: p, least=2, joined=True):
    ids = {word: (list(word), times) for word, times in words.items()}
    merges = {}
    while len(merges) < n:
        pairs = _Counter()
        for symbols, times in ids.values():
            for pair in zip(symbols, symbols[1:]):
                pairs[pair] += weight(times)
        pairs = {pair: count for pair, count in pairs.items() if pair not in merges}
        best = min(pairs, key=lambda pair: (-pairs[pair], key(pair)), default=None)
        if best is None or pairs[best] < least:
            break
        merges[best] = first + len(merges)
        if joined:
            ids = {w: (_merge(s, best, merges[best]), times) for w, (s, times) in ids.items()}
    return merges


def how_often_a_word_occurs_is_ignored(words, n, first):
    return _learn(words, n, first, weight=lambda times: 1)


def ties_go_to_the_pair_seen_first(words, n, first):
    return _learn(words, n, first, key=lambda pair: 0)


def ties_go_to_the_largest_pair(words, n, first):
    return _learn(words, n, first, key=lambda pair: (-pair[0], -pair[1]))


def what_occurs_once_is_learned(words, n, first):
    return _learn(words, n, first, least=1)


def nothing_is_joined_so_only_bytes_are_paired(words, n, first):
    return _learn(words, n, first, joined=False)


def ids_start_at_zero(words, n, first):
    return _learn(words, n, 0)


def one_merge_too_many(words, n, first):
    return _learn(words, n + 1, first)
