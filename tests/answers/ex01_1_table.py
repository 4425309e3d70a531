"""The right answer to lessons/exercises/ex01_1_table.py."""

import math


def table(images, texts, scale):
    """The logits of every picture with every text: scale times the cosine of their features.

    images, texts: lists of features, each a list of E numbers that are not all 0. Returns a list with
    a row for each picture; a row is a list with a number for each text.
    """

    def length(x):
        return math.sqrt(sum(a * a for a in x))

    def cosine(x, y):
        return sum(a * b for a, b in zip(x, y)) / length(x) / length(y)

    return [[scale * cosine(image, text) for text in texts] for image in images]
