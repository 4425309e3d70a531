"""How sure is a score? Intervals for a share of right answers (CLIP, section 5; Clopper and Pearson
1934; Wilson 1927).

A score of 44 % on 103 pictures is a sample. Wilson's interval is the short one, right on average:
it stands beside every accuracy. Clopper and Pearson's is exact: it covers the truth at least as
often as it says, whatever the truth is, and pays with its width; the paper uses it where few pictures
decide, and so does data_overlap.py. No library is needed: a binomial tail and a bisection do.
Left out: intervals for differences of paired answers (McNemar's test says more there).
"""

import functools
import math
from statistics import NormalDist

import numpy as np


def _check(right, n):
    if n < 1 or not 0 <= right <= n:
        raise ValueError(f"{right} right of {n} is no share: need 0 <= right <= n and n >= 1")


@functools.lru_cache(maxsize=4096)
def wilson(right, n, confidence=0.95):
    """(low, high) around right / n: the shares p from which the sample is no further than z standard
    errors, those at p. right, n: whole numbers. Raises ValueError when they are no share."""
    _check(right, n)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = right / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


def binomial_tail(right, n, p):
    """P(X >= right) for n throws that succeed with probability p: the one-sided test's p-value."""
    if right <= 0:
        return 1.0
    if right > n or p <= 0:
        return 0.0
    if p >= 1:
        return 1.0
    k = np.arange(right, n + 1)
    # logarithms: 103! is beyond a float
    logs = _log_choose(n)[right:] + k * math.log(p) + (n - k) * math.log1p(-p)
    return min(1.0, float(np.exp(logs).sum()))


@functools.lru_cache(maxsize=64)
def _log_choose(n):
    """log of n over k, k = 0 .. n: (n + 1,) fp64."""
    log_factorial = np.concatenate([[0.0], np.log(np.arange(1, n + 1)).cumsum()])
    return log_factorial[n] - log_factorial - log_factorial[::-1]


@functools.lru_cache(maxsize=4096)
def clopper_pearson(right, n, confidence=0.95):
    """(low, high), the exact interval around right / n: it holds the true share at least as often as
    `confidence` says.

    low is the share at which `right` or more would happen with probability (1 - confidence) / 2
    only, high the one at which `right` or fewer would. Raises ValueError when right / n is no share.
    """
    _check(right, n)
    alpha = (1 - confidence) / 2

    def solve(tail):  # tail grows with p: bisect for tail(p) = 0
        low, high = 0.0, 1.0
        for _ in range(50):
            middle = (low + high) / 2
            low, high = (middle, high) if tail(middle) < 0 else (low, middle)
        return (low + high) / 2

    low = 0.0 if right == 0 else solve(lambda p: binomial_tail(right, n, p) - alpha)
    high = 1.0 if right == n else solve(lambda p: alpha - 1 + binomial_tail(right + 1, n, p))
    return low, high


def share(right, n, confidence=0.95):
    """A share as the report writes it: {'value', 'n', 'low', 'high'}, Wilson's interval."""
    low, high = wilson(int(right), int(n), confidence)
    return {"value": right / n, "n": int(n), "low": low, "high": high}


def written(value, low, high):
    """'0.44 [0.35, 0.53]'."""
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"
