"""The right answer to lessons/exercises/ex18_2_difference.py."""

import numpy as np


def difference(a, b, draws, rng):
    """How much better a is than b, with its 95 % interval: (value, low, high), by a bootstrap over
    seeds and pictures.

    a, b: (seeds, pictures) of 0 and 1, which answers of two objectives are right. Row k of both
    comes from the same seed, and column i is the same picture.
    """
    gain = np.asarray(a, float) - b
    seeds, pictures = gain.shape
    found = []
    for _ in range(draws):
        rows = rng.integers(seeds, size=seeds)
        columns = rng.integers(pictures, size=pictures)
        found.append(gain[np.ix_(rows, columns)].mean())
    low, high = np.quantile(found, (0.025, 0.975))
    return gain.mean(), low, high
