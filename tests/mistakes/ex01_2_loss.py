BOTH = "(of_rows(logits) + of_rows(list(zip(*logits)))) / 2"

MISTAKES = {
    "only pictures choose": [(BOTH, "of_rows(logits)")],
    "only captions choose": [(BOTH, "of_rows(list(zip(*logits)))")],
    "the rows twice": [("list(zip(*logits))", "logits")],
    "adds both directions": [(" / 2", "")],
    "a sum, not a mean": [("sum(losses) / len(rows)", "sum(losses)")],
    "the share, not its logarithm": [
        ("log_sum_exp(row) - row[i]", "1 - math.exp(row[i] - log_sum_exp(row))")
    ],
    "the right entry does not count in the sum": [
        ("log_sum_exp(row) -", "log_sum_exp(row[:i] + row[i + 1 :] or row) -")
    ],
    "the first caption is always the right one": [("- row[i]", "- row[0]")],
    "the largest entry is the right one": [("- row[i]", "- max(row)")],
    "the right entry is an exponential": [("- row[i]", "- math.exp(row[i])")],
    "the sum of logits, not of exponentials": [
        ("log_sum_exp(row) -", "math.log(len(row)) + sum(row) / len(row) -")
    ],
    "the sign": [("log_sum_exp(row) - row[i]", "row[i] - log_sum_exp(row)")],
    "exponentials of the logits themselves": [("largest = max(row)", "largest = 0")],
}
HINTED = {
    "the share, not its logarithm": "test_a_table_without_any_difference_has_a_loss_of_log_n",
    "adds both directions": "test_a_table_without_any_difference_has_a_loss_of_log_n",
    "only pictures choose": "test_the_three_pairs_of_the_lesson",
    "the first caption is always the right one": "test_the_three_pairs_of_the_lesson",
    "the sum of logits, not of exponentials": "test_the_three_pairs_of_the_lesson",
    "exponentials of the logits themselves": "test_a_large_logit_does_not_overflow",
}
KEYS = ["math.log(sum(math.exp(x - largest)", "max(row)", "list(zip(*logits))"]
