"""Wrong answers to lessons/exercises/ex14_2_mcnemar.py."""

import math

import numpy as np

from miniclip.evaluation.confidence import binomial_tail


def _counts(first, second):
    first, second = np.asarray(first, bool), np.asarray(second, bool)
    return int((first & ~second).sum()), int((second & ~first).sum())


def _result(b, c, p_value):
    return {"only_first": b, "only_second": c, "p_value": p_value}


def one_sided(first, second):
    b, c = _counts(first, second)
    return _result(b, c, binomial_tail(max(b, c), b + c, 0.5))


def larger_than_one(first, second):
    b, c = _counts(first, second)
    return _result(b, c, 2 * binomial_tail(max(b, c), b + c, 0.5))


def tail_of_more_than_what_was_seen(first, second):
    b, c = _counts(first, second)
    return _result(b, c, min(1.0, 2 * binomial_tail(max(b, c) + 1, b + c, 0.5)))


def tail_of_the_smaller_count(first, second):
    b, c = _counts(first, second)
    return _result(b, c, min(1.0, 2 * binomial_tail(min(b, c), b + c, 0.5)))


def only_the_first_may_be_better(first, second):
    b, c = _counts(first, second)
    return _result(b, c, min(1.0, 2 * binomial_tail(b, b + c, 0.5)))


def of_all_pictures(first, second):
    b, c = _counts(first, second)
    return _result(b, c, min(1.0, 2 * binomial_tail(max(b, c), len(first), 0.5)))


def counts_swapped(first, second):
    b, c = _counts(first, second)
    return _result(c, b, min(1.0, 2 * binomial_tail(max(b, c), b + c, 0.5)))


def normal_approximation(first, second):
    b, c = _counts(first, second)
    return _result(b, c, math.erfc(abs(b - c) / math.sqrt(2 * max(1, b + c))))


def as_if_on_different_pictures(first, second):
    b, c = _counts(first, second)
    n, mean = max(1, len(first)), (np.sum(first) + np.sum(second)) / max(1, 2 * len(first))
    error = math.sqrt(2 * mean * (1 - mean) / n)
    gap = (np.sum(first) - np.sum(second)) / n
    return _result(b, c, math.erfc(abs(gap) / error / math.sqrt(2)) if error else 1.0)
