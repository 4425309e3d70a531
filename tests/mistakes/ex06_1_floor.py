MISTAKES = {
    "as for a model that knows nothing": [("math.log(n)", "math.log(len(captions))")],
    "only one direction has to pay": [("/ len(captions)", "/ (2 * len(captions))")],
    "both directions are added": [("/ len(captions)", "/ len(captions) * 2")],
    "a sum instead of a mean": [(" / len(captions)", "")],
    "as if no caption occurred more than twice": [("math.log(n)", "math.log(min(n, 2))")],
    "in bits": [("math.log(n)", "math.log2(n)")],
    "each caption counts once": [("for caption in captions]", "for caption in set(captions)]")],
    "the mean over the pairs that pay": [
        ("/ len(captions)", "/ max(1, sum(n > 1 for n in copies))")
    ],
}

ALL, SOME = (
    "test_n_equal_captions_cost_log_n",
    "test_a_model_that_confuses_only_equal_captions_has_it",
)
HINTED = {
    "as for a model that knows nothing": "test_captions_that_differ_cost_nothing",
    "only one direction has to pay": ALL,
    "both directions are added": ALL,
    "in bits": ALL,
    "as if no caption occurred more than twice": ALL,
    "the mean over the pairs that pay": SOME,
}
KEYS = ["captions.count(caption)", "math.log(n)"]
