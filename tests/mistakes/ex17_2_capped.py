KEPT = "return rows[np.arange(len(rows)) - first < cap]"
SIZE = 'size = np.searchsorted(rows["query"], rows["query"], "right") - first'

MISTAKES = {
    "those that came first": [
        (
            'np.lexsort((rows["pair"], rows["draw"], rows["query"]))',
            'np.argsort(rows["query"], kind="stable")',
        )
    ],
    "the largest draws": [('rows["draw"]', '~rows["draw"]')],
    "ties go to the row that came first": [('rows["pair"], rows["draw"]', 'rows["draw"]')],
    "draws with a sign": [('rows["draw"]', 'rows["draw"].astype("i8")')],
    "draws as floats": [('rows["draw"]', 'rows["draw"].astype(float)')],
    "the cap is of all queries together": [
        ('rows["draw"], rows["query"]', 'rows["draw"]'),
        (KEPT, "return rows[:cap]"),
    ],
    "one more than the cap": [("< cap", "<= cap")],
    "a threshold that keeps about the cap": [
        (KEPT, SIZE + '\n    return rows[rows["draw"] / 2.0**64 < cap / size]')
    ],
    "drawn by a generator": [('rows["draw"]', "np.random.default_rng(0).random(len(rows))")],
    "full queries are emptied": [(KEPT, SIZE + "\n    return rows[size <= cap]")],
    "sorted in place": [("rows = ", "rows[:] = ")],
    "the pair alone without its query": [
        (KEPT, KEPT.replace("return", "rows =") + '\n    rows["query"] = 0\n    return rows')
    ],
    "drawn anew for every cap": [('rows["draw"]', "np.random.default_rng(cap).random(len(rows))")],
}

HINTED = {
    "the pair alone without its query": "test_what_is_left_are_rows_that_were_there",
    "sorted in place": "test_the_rows_are_left_alone",
    "one more than the cap": "test_no_query_has_more_than_its_cap_and_none_less_than_it_could",
    "the cap is of all queries together": (
        "test_no_query_has_more_than_its_cap_and_none_less_than_it_could"
    ),
    "draws as floats": "test_every_draw_that_is_kept_is_at_most_every_one_that_is_not",
    "the largest draws": "test_every_draw_that_is_kept_is_at_most_every_one_that_is_not",
}
KEYS = ["np.lexsort(", "np.searchsorted(rows["]
