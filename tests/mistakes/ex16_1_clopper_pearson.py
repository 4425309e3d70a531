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
    "any share is taken": [("_check(right, n)", "")],
}
