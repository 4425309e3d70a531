SENTENCES = '[template.replace("{}", name) for name in names for template in templates]'

MISTAKES = {
    "the mean is not normalized again": [("F.normalize(mean, dim=1)", "mean")],
    "sentences of one template taken for one class": [
        (
            "for name in names for template in templates",
            "for template in templates for name in names",
        )
    ],
    "first template only": [(".mean(1)", "[:, 0]")],
    "normalized over classes": [("mean, dim=1", "mean, dim=0")],
    "one row a class": [("F.normalize(mean, dim=1).T", "F.normalize(mean, dim=1)")],
    "names without their templates": [('template.replace("{}", name)', "name")],
    "the mean of the classes is subtracted": [
        (
            "return F.normalize(mean, dim=1).T",
            "mean = F.normalize(mean, dim=1)\n    return F.normalize(mean - mean.mean(0), dim=1).T",
        )
    ],
    "templates joined into one sentence": [
        (
            SENTENCES,
            '[" ".join(template.replace("{}", name) for template in templates) for name in names]',
        ),
        ("(len(names), len(templates))", "(len(names), 1)"),
    ],
}

HINTED = {
    "one row a class": "test_one_column_for_each_class",
    "names without their templates": "test_a_class_is_the_sentence_with_its_name_in_it",
    "the mean of the classes is subtracted": "test_a_class_is_the_sentence_with_its_name_in_it",
    "sentences of one template taken for one class": "test_classes_keep_their_own_sentences",
    "first template only": "test_an_ensemble_is_the_mean_of_its_sentences",
    "templates joined into one sentence": "test_an_ensemble_is_the_mean_of_its_sentences",
    "the mean is not normalized again": "test_each_column_has_length_one",
}
KEYS = ['.replace("{}", name)', "(len(names), len(templates))", "F.normalize(mean, dim=1)"]
