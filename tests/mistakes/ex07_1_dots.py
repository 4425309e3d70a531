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
