"""The right answer to lessons/exercises/ex02_1_law.py."""


def check_merge(merge):
    """Raise AssertionError when `merge` is wrong; return None when it is right.

    merge: a function of (symbols, pair, new) that should replace every occurrence of a pair of
    neighbours, from left to right, and return a new list, as the function of the lesson does.
    """
    for symbols, pair, want in (
        ([], (1, 2), []),
        ([1, 1, 1], (1, 1), [99, 1]),
        ([3, 1, 2, 1, 2, 2, 1], (1, 2), [3, 99, 99, 2, 1]),
        ([11, 2, 1, 22], (1, 2), [11, 2, 1, 22]),
    ):
        before = list(symbols)
        merged = merge(symbols, pair, 99)
        assert merged == want and symbols == before
