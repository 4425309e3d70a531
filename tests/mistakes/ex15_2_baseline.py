LOGITS = "x, y = logit(accuracy), logit(shifted)"
FIT = "np.polyfit(x, y, 1).tolist()"

MISTAKES = {
    "anything is taken": [("len(x) < 2 or np.ptp(x) < 1e-9", "not len(x)")],
    "fitted to the accuracies": [
        (LOGITS, "x, y = np.asarray(accuracy, float), np.asarray(shifted, float)")
    ],
    "the intercept first": [(FIT, f"{FIT}[::-1]")],
    "home from the shift": [(FIT, "np.polyfit(y, x, 1).tolist()")],
    "through the first and the last": [(FIT, "np.polyfit(x[[0, -1]], y[[0, -1]], 1).tolist()")],
    "logits without clipping": [
        (
            LOGITS,
            "x, y = (np.log(np.asarray(a, float) / (1 - np.asarray(a, float))) "
            "for a in (accuracy, shifted))",
        ),
        ("np.ptp(x) < 1e-9", "np.ptp(x) < 1e-9 and np.isfinite(x).all()"),
        (f"tuple({FIT})", f"tuple({FIT}) if np.isfinite(x).all() else (np.inf, np.inf)"),
    ],
    "an array": [(f"tuple({FIT})", "np.polyfit(x, y, 1)")],
}

HINTED = {
    "anything is taken": "test_what_fixes_no_line_is_refused",
    "fitted to the accuracies": "test_through_two_models_the_line_is_exact",
    "the intercept first": "test_through_two_models_the_line_is_exact",
    "through the first and the last": "test_what_is_left_over_has_no_trend",
    "logits without clipping": "test_a_model_that_names_nothing_rightly_gives_a_finite_line",
    "an array": "test_two_plain_numbers_are_returned",
}
KEYS = ["np.polyfit(x, y, 1)", "np.ptp(x) < 1e-9"]
