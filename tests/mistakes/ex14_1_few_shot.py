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
