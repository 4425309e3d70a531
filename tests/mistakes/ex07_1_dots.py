MISTAKES = {
    "every program takes the first rows": [
        ("M, D, DP, ROWS)\n", "M, D, DP, ROWS)\n    r -= tl.program_id(0) * ROWS\n")
    ],
    "the padding is read": [("row_index(M, D, DP", "row_index(M, DP, DP")],
    "rows are dp apart": [("* D + d", "* DP + d")],
    "masked elements are one": [
        ("(X + at, mask=inside, other=0.0)", "(X + at, mask=inside, other=1.0)"),
        ("(Y + at, mask=inside, other=0.0)", "(Y + at, mask=inside, other=1.0)"),
    ],
    "x with itself": [("Y + at", "X + at")],
    "adds in half precision": [("x * y", "(x * y).to(X.dtype.element_ty)")],
    "writes beyond the last row": [("r < M", "r < M + ROWS")],
}

HINTED = {
    "x with itself": "test_a_block_of_rows_is_multiplied_with_its_partners",
    "rows are dp apart": "test_a_row_may_be_narrower_than_its_block",
    "the padding is read": "test_a_row_may_be_narrower_than_its_block",
    "every program takes the first rows": "test_every_program_takes_rows_of_its_own",
    "writes beyond the last row": "test_nothing_is_written_beyond_the_last_row",
    "adds in half precision": "test_products_of_16_bit_numbers_are_added_in_float32",
}
KEYS = ["tl.sum(x * y, 1)"]
