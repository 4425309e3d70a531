MISTAKES = {
    "every program takes the first rows": [("tl.program_id(0) * BM", "0")],
    "the last columns are left out": [("range(0, N, BN)", "range(0, N - BN + 1, BN)")],
    "columns beyond n count": [
        ("e = tl.where((column + tl.arange(0, BN) < N)[None, :], e, 0.0)", "")
    ],
    "the sum starts anew with each tile": [("z += ", "z = ")],
    "the scale is missing": [("s * tl.load(SCALE_LOG2)", "s")],
    "the shift is added": [("- tl.load(SHIFT)", "+ tl.load(SHIFT)")],
    "uses base e": [("tl.exp2", "tl.exp")],
    "adds in half precision": [("tl.sum(e, 1)", "tl.sum(e.to(tl.float16), 1).to(tl.float32)")],
    "writes beyond the last row": [("r < M", "r < M + BM")],
}

HINTED = {
    "the shift is added": "test_one_full_tile_gives_its_row_sums",
    "uses base e": "test_one_full_tile_gives_its_row_sums",
    "every program takes the first rows": "test_several_tiles_belong_to_a_row",
    "the sum starts anew with each tile": "test_several_tiles_belong_to_a_row",
    "columns beyond n count": "test_each_column_adds_one_and_no_other_does",
    "the last columns are left out": "test_each_column_adds_one_and_no_other_does",
    "writes beyond the last row": "test_nothing_is_written_beyond_the_last_row",
}
KEYS = ["tl.sum(e, 1)", "e = tl.exp2(", "(column + tl.arange(0, BN) < N)"]
