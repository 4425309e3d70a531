P_VALUE = "min(1.0, 2 * binomial_tail(max(b, c), b + c, 0.5))"

MISTAKES = {
    "one-sided": [("2 * binomial_tail", "binomial_tail")],
    "larger than one": [(P_VALUE, "2 * binomial_tail(max(b, c), b + c, 0.5)")],
    "the tail of more than what was seen": [("max(b, c)", "max(b, c) + 1")],
    "the tail of the smaller count": [("max(b, c)", "min(b, c)")],
    "only the first may be better": [("max(b, c)", "b")],
    "of all pictures": [("b + c, 0.5", "len(first), 0.5")],
    "counts swapped": [('"only_first": b, "only_second": c', '"only_first": c, "only_second": b')],
    "the normal approximation": [(P_VALUE, "math.erfc(abs(b - c) / math.sqrt(2 * max(1, b + c)))")],
    "as if on different pictures": [
        (
            f"p_value = {P_VALUE}",
            "n = max(1, len(first))\n    "
            "mean = (first.sum() + second.sum()) / (2 * n)\n    "
            "error = math.sqrt(2 * mean * (1 - mean) / n)\n    "
            "p_value = math.erfc(abs(b - c) / n / error / math.sqrt(2)) if error else 1.0",
        )
    ],
}

HINTED = {
    "counts swapped": "test_the_counts_are_of_pictures_that_only_one_has_right",
    "of all pictures": "test_pictures_that_both_or_neither_have_right_change_nothing",
    "as if on different pictures": "test_pictures_that_both_or_neither_have_right_change_nothing",
    "one-sided": "test_five_against_none",
    "the tail of the smaller count": "test_five_against_none",
    "the normal approximation": "test_five_against_none",
    "only the first may be better": "test_the_other_way_round_is_the_same_question",
    "larger than one": "test_as_many_on_each_side_is_no_evidence_at_all",
}
KEYS = ["binomial_tail(max(b, c)", "first & ~second"]
