"""17  The cap, decided by a hash.  Read lessons/17_names.md, then make this file green."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from miniclip.data.curation.curate import ASSIGNED

ANSWER = "miniclip.data.curation.curate:capped"


def capped(rows, cap):
    """The rows that are kept: (n,) of ASSIGNED -> (m,). Of the rows of each query, these are the
    `cap` rows whose field "draw", a hash, is smallest."""
    # rows: structured array, rows["query"] a number, rows["draw"] the hash, below 2^64, rows["pair"]
    # the pair's number. Of equal draws the smaller pair. The order of the result is free.
    raise NotImplementedError  # about 3 lines of numpy


draws = st.sampled_from([0, 1, 2, 3, 2**63, 2**63 + 1, 2**64 - 1])
tables = st.lists(st.tuples(st.integers(0, 3), draws), max_size=20).map(
    lambda found: np.array([(q, d, i) for i, (q, d) in enumerate(found)], ASSIGNED)
)
caps = st.integers(1, 5)


def as_set(rows):
    return {*rows.tolist()}


@given(tables, caps)
def test_what_is_left_are_rows_that_were_there(rows, cap):
    got = capped(rows, cap)
    assert got.dtype == ASSIGNED, f"the result has dtype {got.dtype}, not that of the rows"
    assert as_set(got) <= as_set(rows), "a row is left that was not there"


@given(tables, caps)
def test_the_rows_are_left_alone(rows, cap):
    before = rows.copy()
    capped(rows, cap)
    assert (rows == before).all(), "the array that was passed in has changed"


@given(tables, caps)
def test_no_query_has_more_than_its_cap_and_none_less_than_it_could(rows, cap):
    got = capped(rows, cap)
    for query in np.unique(rows["query"]):
        had, has = (int((some["query"] == query).sum()) for some in (rows, got))
        assert has == min(had, cap), f"{had} rows of a query, cap {cap}: {has} are left"


@given(tables, caps)
def test_every_draw_that_is_kept_is_at_most_every_one_that_is_not(rows, cap):
    kept = as_set(capped(rows, cap))
    for query, draw, pair in as_set(rows) - kept:
        larger = [own for own in kept if own[0] == query and own[1:] > (draw, pair)]
        assert not larger, (
            f"of query {query} the draw {draw} of pair {pair} is left out, but kept are {larger}; "
            "draws are unsigned 64-bit numbers, and of equal draws the smaller pair is kept"
        )


@given(tables, caps, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_is_of_no_consequence(rows, cap, rng):
    mixed = rows[rng.sample(range(len(rows)), len(rows))]
    same = as_set(capped(mixed, cap)) == as_set(capped(rows, cap))
    assert same, "the same rows in another order keep other pairs"


@given(tables, caps, st.integers(0, 20))
def test_parts_may_be_capped_first(rows, cap, at):
    parts = np.concatenate([capped(rows[:at], cap), capped(rows[at:], cap)])
    same = as_set(capped(parts, cap)) == as_set(capped(rows, cap))
    assert same, "two workers that cap their parts keep other pairs than one"


@given(tables, caps)
def test_a_smaller_cap_keeps_some_of_the_same(rows, cap):
    fewer = as_set(capped(rows, cap)) <= as_set(capped(rows, cap + 1))
    assert fewer, f"a pair is kept with the cap {cap} and not with {cap + 1}"


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_what_is_left_are_rows_that_were_there": (
        "Which fields does a row have, and does your result still have all of them, unchanged?",
        "Choose among the rows and change none: the result is `rows` with an array of indices or of bools.",
        "rows[keep], where keep says which rows stay",
    ),
    "test_the_rows_are_left_alone": (
        "Is `rows` still in its old order after your function?",
        "Sorting in place changes the caller's array. Sort a copy.",
        "rows = rows[order] makes a new array; rows.sort() and rows[:] = ... change the old one.",
    ),
    "test_no_query_has_more_than_its_cap_and_none_less_than_it_could": (
        "Number the rows of each query from 0. Which numbers stay?",
        "The cap is one of each query, not of all together, and it is exact: a query with more rows keeps "
        "exactly `cap`. In sorted rows, a row's number within its query is its place in the array minus the "
        "place of the query's first row.",
        'first = np.searchsorted(rows["query"], rows["query"]) gives the place of the first row; keep where '
        "np.arange(len(rows)) - first < cap",
    ),
    "test_every_draw_that_is_kept_is_at_most_every_one_that_is_not": (
        "Look at the two draws in the message. Which one is smaller, and by how much?",
        "Draws are whole numbers below 2^64. As float64 or as int64 some of them change their order. And the "
        "smallest stay, of equal draws the one with the smaller pair.",
        'np.lexsort((rows["pair"], rows["draw"], rows["query"])): its last key decides first.',
    ),
    "test_the_order_of_the_rows_is_of_no_consequence": (
        "What decides between two rows with the same query and the same draw?",
        "If nothing decides, the order in the array does. The docstring's comment names a third criterion.",
        'Sort by query, then draw, then pair: np.lexsort((rows["pair"], rows["draw"], rows["query"])).',
    ),
    "test_parts_may_be_capped_first": (
        "Does a row's fate depend on anything but the rows of its query?",
        "Each part must keep every row that the whole would keep (lesson 17, 'Step 3'). A random draw or a "
        "share of the rows does not do this; the smallest draws do.",
        "Keep the `cap` smallest draws of each query, and use no random numbers.",
    ),
    "test_a_smaller_cap_keeps_some_of_the_same": (
        "Does your choice begin anew for every cap?",
        "With the smallest draws, the rows of a small cap are among those of a large one.",
        "The order of the rows must not depend on `cap`.",
    ),
}
DIFFERS = (
    "The library's function is three lines: one sort by query, draw and pair, one binary search for the first row "
    "of each query, and a comparison with the cap. No loop over queries, since there may be half a million."
)
