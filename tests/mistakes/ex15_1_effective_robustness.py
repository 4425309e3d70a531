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
