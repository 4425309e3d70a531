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
