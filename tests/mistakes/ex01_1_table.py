RESULT = "[[scale * cosine(image, text) for text in texts] for image in images]"

MISTAKES = {
    "the lengths are forgotten": [(" / length(x) / length(y)", "")],
    "only the picture is divided by its length": [(" / length(x) / length(y)", " / length(x)")],
    "divides by the squared lengths": [
        ("math.sqrt(sum(a * a for a in x))", "sum(a * a for a in x)")
    ],
    "divides by the sum of the numbers": [("math.sqrt(sum(a * a for a in x))", "sum(x)")],
    "texts have the rows": [
        (RESULT, "[[scale * cosine(image, text) for image in images] for text in texts]")
    ],
    "only pairs are compared": [
        (RESULT, "[[scale * cosine(image, text) for image, text in zip(images, texts)]]")
    ],
    "divides by the scale": [("scale * cosine(", "1 / scale * cosine(")],
    "adds the scale": [("scale * cosine(", "scale - 1 + cosine(")],
    "the scale is a logarithm": [("scale * cosine(", "math.exp(scale - 1) * cosine(")],
}
HINTED = {
    "texts have the rows": "test_each_picture_has_a_row_and_each_text_a_column",
    "only pairs are compared": "test_each_picture_has_a_row_and_each_text_a_column",
    "the lengths are forgotten": "test_entries_are_the_scale_times_the_cosine",
    "only the picture is divided by its length": "test_entries_are_the_scale_times_the_cosine",
    "divides by the scale": "test_a_larger_scale_makes_every_entry_larger_in_proportion",
    "adds the scale": "test_a_larger_scale_makes_every_entry_larger_in_proportion",
}
KEYS = ["math.sqrt(sum(a * a for a in x))", "/ length(x) / length(y)"]
