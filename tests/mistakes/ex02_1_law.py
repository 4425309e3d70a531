"""A law of merging, and plausible laws that are too weak or too strict."""


def _check(merge, symbols, pair, want):
    before = list(symbols)
    assert merge(symbols, pair, 99) == want and symbols == before


def _check_merge(merge):
    """Raise AssertionError when `merge` is wrong; return None when it is right.

    merge: a function of (symbols, pair, new) that should replace every occurrence of a pair of
    neighbours, from left to right, and return a new list, as the function of the lesson does.
    """
    _check(merge, [], (1, 2), [])
    _check(merge, [1, 1, 1], (1, 1), [99, 1])
    _check(merge, [3, 1, 2, 1, 2, 2, 1], (1, 2), [3, 99, 99, 2, 1])
    _check(merge, [11, 2, 1, 22], (1, 2), [11, 2, 1, 22])


def only_that_nothing_is_lost_and_no_pair_is_left(merge):
    for symbols, pair in ([1, 1, 1], (1, 1)), ([3, 1, 2, 1, 2, 2, 1], (1, 2)), ([11, 2], (1, 2)):
        merged = merge(list(symbols), pair, 99)
        assert pair not in zip(merged, merged[1:])
        assert [i for m in merged for i in (pair if m == 99 else [m])] == symbols


def only_an_even_number_of_equal_neighbours(merge):
    _check(merge, [1, 1, 1, 1], (1, 1), [99, 99])
    _check(merge, [3, 1, 2, 1, 2, 2, 1], (1, 2), [3, 99, 99, 2, 1])
    _check(merge, [11, 2, 1, 22], (1, 2), [11, 2, 1, 22])


def only_pairs_of_two_different_ids(merge):
    _check(merge, [3, 1, 2, 1, 2, 2, 1], (1, 2), [3, 99, 99, 2, 1])
    _check(merge, [11, 2, 1, 22], (1, 2), [11, 2, 1, 22])


def only_equal_neighbours(merge):
    for n in range(9):
        _check(merge, [1] * n, (1, 1), [99] * (n // 2) + [1] * (n % 2))


def only_ids_of_one_digit(merge):
    _check(merge, [1, 1, 1], (1, 1), [99, 1])
    _check(merge, [3, 1, 2, 1, 2, 2, 1], (1, 2), [3, 99, 99, 2, 1])


def the_list_passed_in_is_not_looked_at(merge):
    assert merge([1, 1, 1], (1, 1), 99) == [99, 1]
    assert merge([3, 1, 2, 1, 2, 2, 1], (1, 2), 99) == [3, 99, 99, 2, 1]
    assert merge([11, 2, 1, 22], (1, 2), 99) == [11, 2, 1, 22]


def from_the_right_is_demanded(merge):
    _check(merge, [1, 1, 1], (1, 1), [1, 99])
    _check(merge, [3, 1, 2, 1, 2, 2, 1], (1, 2), [3, 99, 99, 2, 1])
    _check(merge, [11, 2, 1, 22], (1, 2), [11, 2, 1, 22])


def says_true_or_false_instead_of_raising(merge):
    return merge([1, 1, 1], (1, 1), 99) == [99, 1]
