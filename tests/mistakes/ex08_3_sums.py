MISTAKES = {
    "the match counts": [("other & (matches[None, :] != tl.arange(0, BM)[:, None])", "other")],
    "the match is always on the diagonal": [
        ("first = j * BN - offset - row", "first = j * BN - row")
    ],
    "rows beyond m count in the columns": [
        ('tl.where(r < M, shift, float("inf"))[:, None]', "shift")
    ],
    "columns beyond n count in the rows": [("matches < N - offset - row", "matches == matches")],
    "the shift is missing": [("tl.load(SHIFT)", "0.0")],
    "stores at the other block": [
        ("Z_ROWS + j", "Z_ROWS + i"),
        ("Z_COLUMNS + i", "Z_COLUMNS + j"),
    ],
    "writes beyond the last column": [("mask=c < N", "mask=c < N + BN")],
}
