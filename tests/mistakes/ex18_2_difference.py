SAMPLE = "gain[np.ix_(rows, columns)].mean()"
ROWS = "rng.integers(seeds, size=seeds)"
COLUMNS = "rng.integers(pictures, size=pictures)"

MISTAKES = {
    "a sample for each of the two": [
        (
            SAMPLE,
            "np.asarray(a, float)[np.ix_(rows, columns)].mean() "
            f"- np.asarray(b, float)[np.ix_({ROWS}, {COLUMNS})].mean()",
        )
    ],
    "pictures only": [(ROWS, "np.arange(seeds)")],
    "seeds only": [(COLUMNS, "np.arange(pictures)")],
    "pictures anew for each seed": [
        (SAMPLE, f"np.mean([gain[row][{COLUMNS}].mean() for row in rows])")
    ],
    "each answer by itself": [(SAMPLE, "rng.choice(gain.ravel(), gain.size).mean()")],
    "without repetition": [
        (ROWS, "rng.permutation(seeds)"),
        (COLUMNS, "rng.permutation(pictures)"),
    ],
    "half as many pictures": [(COLUMNS, "rng.integers(pictures, size=pictures // 2)")],
    "an interval of 90 percent": [("(0.025, 0.975)", "(0.05, 0.95)")],
    "the mean of the samples": [("return gain.mean(), low", "return np.mean(found), low")],
    "b less a": [("np.asarray(a, float) - b", "np.asarray(b, float) - a")],
    "a generator of its own": [
        (
            "seeds, pictures = gain.shape",
            "seeds, pictures = gain.shape\n    rng = np.random.default_rng()",
        )
    ],
}

HINTED = {
    "the mean of the samples": "test_the_value_is_the_mean_of_a_less_the_mean_of_b",
    "b less a": "test_the_value_is_the_mean_of_a_less_the_mean_of_b",
    "a sample for each of the two": "test_equal_answers_differ_by_nothing_in_every_sample",
    "seeds only": "test_pictures_are_drawn",
    "an interval of 90 percent": "test_pictures_are_drawn",
    "pictures only": "test_seeds_are_drawn",
    "each answer by itself": "test_seeds_are_drawn",
    "pictures anew for each seed": "test_a_picture_is_drawn_for_all_seeds_together",
    "a generator of its own": "test_only_the_given_generator_draws",
}
KEYS = ["np.ix_(rows, columns)", "rng.integers(seeds, size=seeds)"]
