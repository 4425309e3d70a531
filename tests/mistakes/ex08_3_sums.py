MISTAKES = {
    "the match counts": [(" & (c[None, :] != (r + offset)[:, None])", "")],
    "the match is always on the diagonal": [("(r + offset)", "r")],
    "rows beyond m count in the columns": [(" & (r < M)[:, None]", "")],
    "columns beyond n count in the rows": [("(c < N)[None, :] & ", "")],
    "the shift is missing": [("tl.load(SHIFT)", "0.0")],
    "stores at the other block": [
        ("Z_ROWS + j", "Z_ROWS + i"),
        ("Z_COLUMNS + i", "Z_COLUMNS + j"),
    ],
    "writes beyond the last column": [("mask=c < N", "mask=c < N + BN")],
}
