POOL = "np.unique(np.asarray(pool, dtype=int))"
GENERATOR = "np.random.default_rng((seed, int(label)))"
CLASSES = "for label in np.unique(labels[pool]):"

MISTAKES = {
    "draws from everything and not the pool": [(POOL, "np.arange(len(labels))")],
    "draws with replacement": [(".permutation(own)[:k]", ".choice(own, k)")],
    "takes the first and never draws": [(GENERATOR + ".permutation(own)", "own")],
    "draws anew for every k": [("(seed, int(label))", "(seed, int(label), k)")],
    "gives what a small class has": [("len(own) < k", "False")],
    "k in all and not of each class": [
        (
            "return sorted(chosen)",
            "mixed = np.random.default_rng(seed).permutation(pool)\n    "
            "return sorted(mixed[: len(chosen)].tolist())",
        )
    ],
    "one generator shared by all classes": [
        (CLASSES, "shared = np.random.default_rng(seed)\n    " + CLASSES),
        (GENERATOR, "shared"),
    ],
    "each class draws with the same generator": [(GENERATOR, "np.random.default_rng(seed)")],
    "generators numbered by place and not by class": [
        (CLASSES, "for place, label in enumerate(np.unique(labels[pool])):"),
        ("int(label)", "place"),
    ],
    "one generator shared by the classes of all pictures": [
        (
            CLASSES,
            "shared = np.random.default_rng(seed)\n    "
            "mixed = {c: shared.permutation(np.flatnonzero(labels == c)) for c in np.unique(labels)}"
            "\n    " + CLASSES,
        ),
        (GENERATOR + ".permutation(own)", "mixed[label][np.isin(mixed[label], own)]"),
    ],
    "refuses without naming the class": [("class {label}", "a class")],
    "depends on the order of the pool": [(POOL, "np.asarray(list(pool), dtype=int)")],
    "adds the class to the seed": [("(seed, int(label))", "seed + int(label)")],
}

HINTED = {
    "draws from everything and not the pool": "test_none_from_outside_the_pool",
    "draws with replacement": "test_k_of_each_class_and_none_twice",
    "k in all and not of each class": "test_k_of_each_class_and_none_twice",
    "gives what a small class has": "test_a_class_with_too_few_pictures_is_refused_by_its_name",
    "takes the first and never draws": "test_a_seed_fixes_the_draw_and_other_seeds_draw_others",
    "depends on the order of the pool": "test_the_order_of_the_pool_changes_nothing",
    "draws anew for every k": "test_more_shots_include_fewer",
    "one generator shared by all classes": (
        "test_another_class_in_the_pool_does_not_change_the_shots_of_a_class"
    ),
    "one generator shared by the classes of all pictures": (
        "test_how_the_other_pictures_are_classed_does_not_change_the_shots_of_a_class"
    ),
    "each class draws with the same generator": "test_two_classes_do_not_draw_alike",
    "adds the class to the seed": (
        "test_a_class_does_not_draw_with_the_next_seed_what_the_next_class_drew"
    ),
}
KEYS = ["(seed, int(label))", "permutation(own)", "labels[pool] == label"]
