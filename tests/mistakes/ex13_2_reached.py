"""Wrong answers to lessons/exercises/ex13_2_reached.py."""

import numpy as np

from miniclip.evaluation.crossing import reached as _right


def linear_in_pairs(pairs, accuracy, target):
    if accuracy[0] >= target:
        return float(pairs[0])
    for k in range(1, len(pairs)):
        if accuracy[k] >= target:
            part = (target - accuracy[k - 1]) / (accuracy[k] - accuracy[k - 1])
            return pairs[k - 1] + part * (pairs[k] - pairs[k - 1])
    return None


def the_point_after(pairs, accuracy, target):
    return next((float(n) for n, a in zip(pairs, accuracy) if a >= target), None)


def the_last_time(pairs, accuracy, target):
    for k in range(len(pairs) - 1, 0, -1):
        if accuracy[k] >= target > accuracy[k - 1]:
            part = (target - accuracy[k - 1]) / (accuracy[k] - accuracy[k - 1])
            return float(pairs[k - 1] * (pairs[k] / pairs[k - 1]) ** part)
    return float(pairs[0]) if accuracy[0] >= target else None


def extrapolated(pairs, accuracy, target):
    found = _right(pairs, accuracy, target)
    if found is None:
        slope = (accuracy[-1] - accuracy[-2]) / np.log(pairs[-1] / pairs[-2])
        return float(pairs[-1] * np.exp((target - accuracy[-1]) / slope))
    return found


def none_where_it_begins_above(pairs, accuracy, target):
    return None if accuracy[0] > target else _right(pairs, accuracy, target)


def by_interp(pairs, accuracy, target):
    return float(np.exp(np.interp(target, accuracy, np.log(pairs))))


def upside_down(pairs, accuracy, target):
    found = _right(pairs, accuracy, target)
    return found and pairs[0] * pairs[-1] / found
