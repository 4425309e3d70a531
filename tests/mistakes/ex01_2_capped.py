"""Plausible wrong ways to cap."""

import numpy as _np

from miniclip.data.curation.curate import ASSIGNED as _ASSIGNED


def _first_of_each(rows, cap):
    rows = rows[_np.argsort(rows["query"], kind="stable")]
    first = _np.searchsorted(rows["query"], rows["query"])
    return rows[_np.arange(len(rows)) - first < cap]


def those_that_came_first(rows, cap):
    return _first_of_each(rows, cap)


def the_largest_draws(rows, cap):
    return _first_of_each(rows[_np.lexsort((rows["pair"], rows["draw"]))[::-1]], cap)


def ties_go_to_the_row_that_came_first(rows, cap):
    return _first_of_each(rows[_np.argsort(rows["draw"], kind="stable")], cap)


def draws_with_a_sign(rows, cap):
    return _first_of_each(rows[_np.lexsort((rows["pair"], rows["draw"].astype("i8")))], cap)


def draws_as_floats(rows, cap):
    return _first_of_each(rows[_np.lexsort((rows["pair"], rows["draw"].astype(float)))], cap)


def the_cap_is_of_all_queries_together(rows, cap):
    return rows[_np.lexsort((rows["pair"], rows["draw"]))][:cap]


def one_more_than_the_cap(rows, cap):
    return _first_of_each(rows[_np.lexsort((rows["pair"], rows["draw"]))], cap + 1)


def a_threshold_that_keeps_about_the_cap(rows, cap):
    _, own, size = _np.unique(rows["query"], return_inverse=True, return_counts=True)
    return rows[rows["draw"] / 2.0**64 < cap / size[own]]


def drawn_by_a_generator(rows, cap):
    mixed = rows[_np.random.default_rng(0).permutation(len(rows))]
    return _first_of_each(mixed, cap)


def full_queries_are_emptied(rows, cap):
    _, own, size = _np.unique(rows["query"], return_inverse=True, return_counts=True)
    return rows[size[own] <= cap]


def sorted_in_place(rows, cap):
    rows[:] = rows[_np.lexsort((rows["pair"], rows["draw"], rows["query"]))]
    return _first_of_each(rows, cap)


def the_pair_alone_without_its_query(rows, cap):
    kept = _first_of_each(rows[_np.lexsort((rows["pair"], rows["draw"]))], cap)
    return _np.array([(0, draw, pair) for _, draw, pair in kept.tolist()], _ASSIGNED)
