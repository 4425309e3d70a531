MISTAKES = {
    "the match counts": [(" & (c[None, :] != (r + offset)[:, None])", "")],
    "the match is always on the diagonal": [("(r + offset)", "r")],
    "rows beyond m count in the columns": [("(r < M)[:, None] & ", "")],
    "columns beyond n count in the rows": [("(c < N)[None, :] & ", "")],
    "the shift is missing": [("tl.load(SHIFT)", "0.0")],
    "stores at the other block": [
        ("Z_ROWS + j", "Z_ROWS + i"),
        ("Z_COLUMNS + i", "Z_COLUMNS + j"),
    ],
    "writes beyond the last column": [("mask=c < N", "mask=c < N + BN")],
}

HINTED = {
    "the shift is missing": "test_one_bit_of_shift_halves_every_sum",
    "the match counts": "test_the_matches_are_left_out",
    "the match is always on the diagonal": "test_the_matches_are_left_out",
    "writes beyond the last column": "test_nothing_is_written_beyond_the_sums",
    "rows beyond m count in the columns": "test_pairs_that_do_not_exist_add_nothing",
    "columns beyond n count in the rows": "test_pairs_that_do_not_exist_add_nothing",
    "stores at the other block": "test_several_tiles_each_way",
}
KEYS = ["(c[None, :] != (r + offset)[:, None])", "tl.sum(e, 1)", "tl.sum(e, 0)"]
