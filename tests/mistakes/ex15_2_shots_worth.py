"""Wrong answers to lessons/exercises/ex15_2_shots_worth.py."""

import math

import numpy as np


def _first_crossing(curve, zero_shot, between, shots=None):
    shots = shots or sorted(curve)
    if curve[shots[0]] >= zero_shot:
        return float(shots[0])
    for a, b in zip(shots, shots[1:]):
        if curve[b] >= zero_shot:
            return float(between(a, b, (zero_shot - curve[a]) / (curve[b] - curve[a])))
    return None


def _along_log(a, b, part):
    return a * (b / a) ** part


def interpolated_along_k(curve, zero_shot):
    return _first_crossing(curve, zero_shot, lambda a, b, part: a + (b - a) * part)


def first_number_that_is_enough(curve, zero_shot):
    return _first_crossing(curve, zero_shot, lambda a, b, part: b)


def logarithm_never_undone(curve, zero_shot):
    return _first_crossing(curve, zero_shot, lambda a, b, part: math.log(_along_log(a, b, part)))


def measured_from_the_upper_end(curve, zero_shot):
    return _first_crossing(curve, zero_shot, lambda a, b, part: _along_log(b, a, part))


def in_the_order_of_the_dict(curve, zero_shot):
    return _first_crossing(curve, zero_shot, _along_log, list(curve))


def largest_number_where_none_is_enough(curve, zero_shot):
    return _first_crossing(curve, zero_shot, _along_log) or float(max(curve))


def last_crossing(curve, zero_shot):
    shots = sorted(curve)
    for a, b in reversed([*zip(shots, shots[1:])]):
        if curve[a] < zero_shot <= curve[b]:
            return float(_along_log(a, b, (zero_shot - curve[a]) / (curve[b] - curve[a])))
    return float(shots[0]) if curve[shots[0]] >= zero_shot else None


def first_number_never_asked(curve, zero_shot):
    shots = sorted(curve)
    for a, b in zip(shots, shots[1:]):
        if curve[b] >= zero_shot and curve[b] != curve[a]:
            return float(_along_log(a, b, (zero_shot - curve[a]) / (curve[b] - curve[a])))
    return None


def a_line_through_all_numbers(curve, zero_shot):
    slope, start = np.polyfit(np.log(sorted(curve)), [curve[k] for k in sorted(curve)], 1)
    return None if zero_shot > max(curve.values()) else float(np.exp((zero_shot - start) / slope))
