EQUAL = "([1, 1, 1], (1, 1), [99, 1]),"
DIFFERENT = "([3, 1, 2, 1, 2, 2, 1], (1, 2), [3, 99, 99, 2, 1]),"
DIGITS = "([11, 2, 1, 22], (1, 2), [11, 2, 1, 22]),"
CHECK = "assert merged == want and symbols == before"

MISTAKES = {
    "only that nothing is lost and no pair is left": [
        (
            CHECK,
            "assert pair not in zip(merged, merged[1:])\n        "
            "assert [i for m in merged for i in (pair if m == 99 else [m])] == before",
        )
    ],
    "only an even number of equal neighbours": [(EQUAL, "([1, 1, 1, 1], (1, 1), [99, 99]),")],
    "only pairs of two different ids": [(EQUAL, "")],
    "only equal neighbours": [(DIFFERENT, ""), (DIGITS, "")],
    "only ids of one digit": [(DIGITS, "")],
    "the list passed in is not looked at": [(" and symbols == before", "")],
    "from the right is demanded": [("[99, 1]", "[1, 99]")],
    "says true or false instead of raising": [(CHECK, CHECK.replace("assert", "return"))],
}

ACCEPTS, REJECTS = "test_your_law_accepts_a_right_merge", "test_your_law_rejects_a_wrong_merge"
HINTED = {
    "from the right is demanded": ACCEPTS,
    "only that nothing is lost and no pair is left": REJECTS,
    "only an even number of equal neighbours": REJECTS,
    "the list passed in is not looked at": REJECTS,
    "says true or false instead of raising": REJECTS,
}
KEYS = ["merged == want and symbols == before", "([1, 1, 1], (1, 1)"]
