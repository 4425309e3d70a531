"""Plausible wrong ways to choose queries."""

import math as _math


def _choose(
    counts,
    pairs,
    names,
    min_count,
    min_pmi,
    log=_math.log2,
    of_bigrams=True,
    also=lambda key, names: key in names,
    enough=lambda bits, least: bits >= least,
    order=lambda n, key: (n, key),
    chance=lambda left, right, pairs: left * right / pairs,
):
    found = []
    for key, n in counts.items():
        words = key.split(" ")
        if also(key, names):
            found.append(key)
        elif len(words) == 1:
            if n >= min_count:
                found.append(key)
        elif n >= min_count or not of_bigrams:
            bits = log(n / chance(counts[words[0]], counts[words[1]], pairs))
            if enough(bits, min_pmi):
                found.append(key)
    return sorted(found, key=lambda key: order(counts[key], key))


def the_natural_logarithm(*given):
    return _choose(*given, log=_math.log)


def the_number_of_pairs_is_forgotten(*given):
    return _choose(*given, chance=lambda left, right, pairs: left * right)


def only_the_rarer_word_is_looked_at(*given):
    return _choose(*given, chance=lambda left, right, pairs: min(left, right) ** 2 / pairs)


def a_bigram_may_be_rare(*given):
    return _choose(*given, of_bigrams=False)


def every_frequent_bigram_is_a_query(*given):
    return _choose(*given, enough=lambda bits, least: True)


def more_than_the_limit_is_needed(*given):
    return _choose(*given, enough=lambda bits, least: bits > least)


def names_must_be_frequent_too(counts, pairs, names, min_count, min_pmi):
    found = _choose(counts, pairs, names, min_count, min_pmi)
    return [key for key in found if counts[key] >= min_count]


def names_are_ignored(*given):
    return _choose(*given, also=lambda key, names: False)


def names_that_nobody_uses_are_queries(counts, pairs, names, min_count, min_pmi):
    found = _choose(counts, pairs, names, min_count, min_pmi)
    return sorted({*found, *names}, key=lambda key: (counts.get(key, 0), key))


def the_most_frequent_first(*given):
    return _choose(*given, order=lambda n, key: (-n, key))


def ties_in_the_order_of_the_counts(*given):
    return _choose(*given, order=lambda n, key: n)


def by_the_alphabet_alone(*given):
    return _choose(*given, order=lambda n, key: key)
