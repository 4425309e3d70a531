EXPECTED = "1 / (1 + np.exp(-(slope * logit(accuracy) + intercept)))"

MISTAKES = {
    "the difference is left in logits": [
        (EXPECTED, "slope * logit(accuracy) + intercept"),
        ("np.asarray(shifted, float)", "logit(shifted)"),
    ],
    "the drop from home": [("- expected", "- np.asarray(accuracy)")],
    "the line is applied to accuracy itself": [
        (EXPECTED, "slope * np.asarray(accuracy) + intercept")
    ],
    "expected minus seen": [
        ("np.asarray(shifted, float) - expected", "expected - np.asarray(shifted, float)")
    ],
    "infinite at one": [
        (
            "expected = ",
            'with np.errstate(all="ignore"):\n        '
            "home = np.log(accuracy / (1 - np.asarray(accuracy)))\n    "
            "expected = 0 * home + ",
        )
    ],
    "one model at a time": [("np.asarray(shifted, float)", "float(shifted)")],
    "the logit with the other sign": [("np.exp(-(", "np.exp((")],
}

HINTED = {
    "one model at a time": "test_many_models_at_once_are_the_same_as_one_by_one",
    "infinite at one": "test_everything_right_at_home_is_still_finite",
    "the difference is left in logits": "test_accuracy_beyond_the_line_counts_one_for_one",
    "expected minus seen": "test_accuracy_beyond_the_line_counts_one_for_one",
    "the logit with the other sign": "test_a_model_that_is_better_at_home_has_a_higher_expected_accuracy",
    "the line is applied to accuracy itself": "test_on_the_line_there_is_none",
    "the drop from home": "test_on_the_line_there_is_none",
}
KEYS = ["1 / (1 + np.exp(-", "slope * logit(accuracy) + intercept"]
