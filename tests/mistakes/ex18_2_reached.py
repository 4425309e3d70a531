BETWEEN = "pairs[k - 1] * (pairs[k] / pairs[k - 1]) ** part"

MISTAKES = {
    "linear in pairs": [(BETWEEN, "pairs[k - 1] + part * (pairs[k] - pairs[k - 1])")],
    "the point after": [(BETWEEN, "pairs[k]")],
    "the last time": [
        ("range(1, len(pairs))", "range(len(pairs) - 1, 0, -1)"),
        ("accuracy[k] >= target", "accuracy[k] >= target > accuracy[k - 1]"),
    ],
    "extrapolated": [
        (
            "return None",
            "part = (target - accuracy[-2]) / (accuracy[-1] - accuracy[-2])\n    "
            "return float(pairs[-2] * (pairs[-1] / pairs[-2]) ** part)",
        )
    ],
    "none where it begins above": [("return float(pairs[0])", "return None")],
    "by np.interp": [
        (
            "if accuracy[0] >= target:",
            "import numpy as np\n    "
            "return float(np.exp(np.interp(target, accuracy, np.log(pairs))))\n    "
            "if accuracy[0] >= target:",
        )
    ],
    "upside down": [("** part", "** (1 - part)")],
    "along the logarithm of pairs plus one": [
        (BETWEEN, "(1 + pairs[k - 1]) * ((1 + pairs[k]) / (1 + pairs[k - 1])) ** part - 1")
    ],
}

HINTED = {
    "extrapolated": "test_what_is_above_the_curve_is_never_reached",
    "none where it begins above": "test_a_curve_that_begins_above_says_its_first_point",
    "the last time": "test_a_curve_that_falls_again_counts_at_the_first_time",
    "upside down": "test_a_measured_accuracy_is_reached_where_it_was_measured",
    "linear in pairs": "test_between_two_points_the_line_is_straight_over_the_logarithm",
}
KEYS = ["(pairs[k] / pairs[k - 1]) ** part", "(target - low) / (high - low)"]
