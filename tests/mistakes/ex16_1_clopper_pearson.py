ALPHA = "alpha = (1 - confidence) / 2"

MISTAKES = {
    "all of the error at each end": [(ALPHA, "alpha = 1 - confidence")],
    "strictly fewer at the upper end": [("binomial_tail(right + 1,", "binomial_tail(right,")],
    "Wilson's instead": [("return low, high", "return wilson(right, n, confidence)")],
    "two standard errors": [
        (
            "return low, high",
            "sigmas = NormalDist().inv_cdf((1 + confidence) / 2)\n    "
            "half = sigmas * math.sqrt(right * (n - right) / n**3)\n    "
            "return max(0.0, right / n - half), min(1.0, right / n + half)",
        )
    ],
    "always at 95 percent": [(ALPHA, "alpha = 0.025")],
    "the ends change places": [("return low, high", "return high, low")],
    "any share is taken": [("_check(right, n, confidence)", "")],
}

HINTED = {
    "any share is taken": "test_what_is_no_share_is_refused",
    "two standard errors": "test_nothing_right_begins_at_0_and_everything_right_ends_at_1",
    "the ends change places": "test_the_ends_stand_in_order_around_the_share",
    "all of the error at each end": "test_at_the_lower_end_right_or_more_have_half_of_the_error",
    "always at 95 percent": "test_at_the_lower_end_right_or_more_have_half_of_the_error",
    "strictly fewer at the upper end": "test_at_the_upper_end_right_or_fewer_have_half_of_the_error",
}
KEYS = ["binomial_tail(right + 1,", "if tail(middle) < 0"]
