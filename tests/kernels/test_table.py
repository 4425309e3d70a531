"""Columns as wide as their widest cell, numbers to the right."""

from kernels.table import Table


def test_numbers_stand_to_the_right_and_words_to_the_left():
    table = Table("what", "N", "ms")
    table.add("sums", 8192, "1.25")
    table.add("a", 3)
    table.add("wide product", "10", "n/a")
    assert str(table).splitlines() == [
        "what          N     ms",
        "------------  ----  ----",
        "sums          8192  1.25",
        "a                3",
        "wide product    10  n/a",
    ]
