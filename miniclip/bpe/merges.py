"""Byte-pair encoding on ids: learn which neighbours to join, and join them (Sennrich et al. 2016).

Training joins the most frequent pair of neighbours into a new id, again and again. Encoding applies
the learned merges to a word, the earliest first. Here the ids are plain integers; tokenizer.py
gives them their bytes. Left out: merges chosen at random while training (BPE dropout).
Lesson: lessons/02_bpe.md.
"""

import heapq
import math
from collections import Counter, defaultdict

from tqdm import tqdm


def merge(symbols, pair, new):
    """Replace every occurrence of a pair of neighbours, from left to right.

    symbols: list of ids; pair: (left, right); new: the id that takes their place. -> new list
    """
    out, i = [], 0
    while i < len(symbols):
        found = tuple(symbols[i : i + 2]) == pair
        out.append(new if found else symbols[i])
        i += 2 if found else 1
    return out


def segment(symbols, merges):
    """Encode one word as if it had been among the words from which the merges were learned.

    symbols: list of ids; merges: dict (left, right) -> id, in which smaller ids were learned
    earlier. -> list of ids
    """
    while len(symbols) > 1:
        pair = min(zip(symbols, symbols[1:]), key=lambda pair: merges.get(pair, math.inf))
        if pair not in merges:
            break
        symbols = merge(symbols, pair, merges[pair])
    return symbols


def learn_merges(words, n, first):
    """Train: n times, join the pair that occurs most often into a new id.

    words: dict tuple of ids -> how often the word occurs. The new ids are first, first + 1, ...
    Ties go to the smallest pair, so the result does not depend on the order of the words. Training
    ends early when no pair occurs twice. -> dict (left, right) -> id, in the order learned
    """
    words = [(list(symbols), count) for symbols, count in words.items()]
    counts, where = Counter(), defaultdict(set)  # pair -> occurrences; pair -> indices of words
    for index, (symbols, count) in enumerate(words):
        for pair in zip(symbols, symbols[1:]):
            counts[pair] += count
            where[pair].add(index)
    # To count all words again after each merge would be a hundred times slower, so only the words
    # that hold the pair are counted again. The heap gives the next pair; its counts may be
    # outdated.
    heap = [(-count, pair) for pair, count in counts.items()]
    heapq.heapify(heap)
    merges = {}
    bar = tqdm(total=n, desc="learning the vocabulary", delay=1, disable=None)
    while heap and len(merges) < n:
        count, pair = heapq.heappop(heap)
        if -count != counts[pair]:  # outdated
            continue
        if count > -2:
            break
        merges[pair] = new = first + len(merges)
        changed = set()
        for index in where.pop(pair):
            symbols, count = words[index]
            if pair not in zip(symbols, symbols[1:]):  # an earlier merge took a part of it
                continue
            merged = merge(symbols, pair, new)
            before, after = (Counter(zip(ids, ids[1:])) for ids in (symbols, merged))
            for other in before.keys() | after.keys():
                if after[other] != before[other]:
                    counts[other] += (after[other] - before[other]) * count
                    where[other].add(index)
                    changed.add(other)
            words[index] = merged, count
        for pair in changed:
            heapq.heappush(heap, (-counts[pair], pair))
        bar.update()
    bar.close()
    return merges
