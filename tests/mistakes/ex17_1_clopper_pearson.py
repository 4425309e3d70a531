"""Wrong answers to lessons/exercises/ex17_1_clopper_pearson.py."""

import math
from statistics import NormalDist

from miniclip.evaluation.confidence import binomial_tail
from miniclip.evaluation.confidence import wilson as _wilson


def _solve(tail):
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if tail(middle) < 0 else (low, middle)
    return (low + high) / 2


def _exact(right, n, alpha, above):
    if n < 1 or not 0 <= right <= n:
        raise ValueError("no share")
    low = 0.0 if right == 0 else _solve(lambda p: binomial_tail(right, n, p) - alpha)
    high = 1.0 if right == n else _solve(lambda p: alpha - 1 + binomial_tail(right + above, n, p))
    return low, high


def all_of_the_error_at_each_end(right, n, confidence=0.95):
    return _exact(right, n, 1 - confidence, 1)


def strictly_fewer_at_the_upper_end(right, n, confidence=0.95):
    return _exact(right, n, (1 - confidence) / 2, 0)


def wilsons_instead(right, n, confidence=0.95):
    return _wilson(right, n, confidence)


def two_standard_errors(right, n, confidence=0.95):
    if n < 1 or not 0 <= right <= n:
        raise ValueError("no share")
    half = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(right * (n - right) / n**3)
    return max(0.0, right / n - half), min(1.0, right / n + half)


def always_at_95_percent(right, n, confidence=0.95):
    return _exact(right, n, 0.025, 1)
