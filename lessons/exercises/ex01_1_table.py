"""01  The table, without a library. Read lessons/01_train.md, then make this file green.

    pytest lessons/exercises/ex01_1_table.py -x

Plain lists of numbers suffice; Python's math module is imported for you.
"""

import math  # noqa: F401  (for your answer)

from hypothesis import given
from hypothesis import strategies as st

ANSWER = "tests.answers.ex01_1_table:table"


def table(images, texts, scale):
    """The logits of every picture with every text: scale times the cosine of their features.

    images, texts: lists of features, each a list of E numbers that are not all 0. Returns a list with
    a row for each picture; a row is a list with a number for each text.
    """
    raise NotImplementedError  # about 5 lines


def shape(rows):
    assert isinstance(rows, list), f"the result is {rows!r}, and should be a list of rows"
    return [len(row) for row in rows]


def same(found, want, what):
    for i, (row, right) in enumerate(zip(found, want, strict=True)):
        for j, (a, b) in enumerate(zip(row, right, strict=True)):
            assert abs(a - b) < 1e-6 * (1 + abs(b)), (
                f"picture {i} with text {j} is {a:.4f} and should be {b:.4f}: {what}"
            )


def test_each_picture_has_a_row_and_each_text_a_column():
    found = shape(table([[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0]] * 3, 1.0))
    assert found == [3, 3], f"two pictures and three texts: rows of {found} entries, not of [3, 3]"
    first = table([[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], 1.0)[0]
    assert [round(x, 6) for x in first] == [1, 1, 0], (
        f"picture 0 equals texts 0 and 1, and not text 2, but its row is {first}"
    )


def test_entries_are_the_scale_times_the_cosine():
    """(3, 4) and (4, 3) have length 5 and the product 24; the cosine is 24 / 25."""
    images, texts = [[3.0, 4.0], [1.0, 0.0]], [[4.0, 3.0], [0.0, 2.0], [-5.0, 0.0]]
    found = table(images, texts, 1.0)
    same(found, [[0.96, 0.8, -0.6], [0.8, 0.0, -1.0]], f"images {images}, texts {texts}, scale 1")


features = st.lists(st.floats(0.1, 3), min_size=3, max_size=3)
some = st.lists(features, min_size=1, max_size=4)


@given(some, some, st.floats(0.01, 100))
def test_the_length_of_a_feature_does_not_matter(images, texts, factor):
    longer = [[factor * x for x in image] for image in images]
    what = f"with the pictures' features {factor:.3g} times as long the table should stay"
    same(table(longer, texts, 5.0), table(images, texts, 5.0), what)
    longer = [[factor * x for x in text] for text in texts]
    what = f"with the texts' features {factor:.3g} times as long the table should stay"
    same(table(images, longer, 5.0), table(images, texts, 5.0), what)


@given(some, some, st.floats(0.5, 100))
def test_a_larger_scale_makes_every_entry_larger_in_proportion(images, texts, scale):
    want = [[scale * x for x in row] for row in table(images, texts, 1.0)]
    same(table(images, texts, scale), want, f"the entry at scale 1, times the scale {scale:.3g}")
    assert abs(table([[2.0]], [[3.0]], scale)[0][0] - scale) < 1e-6 * scale, (
        f"features of the same direction have cosine 1, so their entry is the scale, {scale:.3g}"
    )


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_each_picture_has_a_row_and_each_text_a_column": (
        "How many rows should the result have, and how many entries each, with two pictures and three texts?",
        "Row i belongs to picture i and has an entry for each text; see 'The loss: who belongs to whom?'.",
        "return [[... for text in texts] for image in images]",
    ),
    "test_entries_are_the_scale_times_the_cosine": (
        "The features (3, 4) and (3, 4) point in the same direction: what is their cosine, and what do you "
        "get?",
        "The cosine is the product of two features after each was divided by its length; see 'Two towers'.",
        "The length of x is math.sqrt(sum(a * a for a in x)); divide the product by both lengths.",
    ),
    "test_the_length_of_a_feature_does_not_matter": (
        "Does your entry change when one of the two features is multiplied by 10? It should not.",
        "Both features have to be divided by their own length, not only one of them.",
        "The length of x is math.sqrt(sum(a * a for a in x)); divide the product by both lengths.",
    ),
    "test_a_larger_scale_makes_every_entry_larger_in_proportion": (
        "Compare your tables at scale 1 and at scale 10: what is the ratio of two entries?",
        "An entry is the cosine times the scale; the scale is neither added, nor a divisor.",
        "The last thing to do to each cosine is: scale * cosine.",
    ),
}
DIFFERS = (
    "The library divides all features by their lengths once, and then computes all products at the "
    "same time, as one product of two matrices: images @ texts.T. A processor does this many times faster."
)
