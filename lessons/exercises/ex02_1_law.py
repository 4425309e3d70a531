"""02  Write the law of merging.  Read lessons/02_bpe.md, then make this file green.

Here you write no merge: you write the test that tells right merges from wrong ones.
"""

import pytest

from miniclip.bpe.merges import merge as library_merge

ANSWER = "tests.answers.ex02_1_law:check_merge"


def check_merge(merge):
    """Raise AssertionError when `merge` is wrong; return None when it is right.

    merge: a function of (symbols, pair, new) that should replace every occurrence of a pair of
    neighbours, from left to right, and return a new list, as the function of the lesson does.
    """
    raise NotImplementedError  # about 8 lines


def accepts(merge):
    try:
        check_merge(merge)
    except AssertionError:
        return False
    return True


# --- your law must accept these two


def str_replace(symbols, pair, new):
    """One character an id: str.replace goes from left to right and never overlaps, too."""
    text = "".join(map(chr, symbols)).replace("".join(map(chr, pair)), chr(new))
    return list(map(ord, text))


@pytest.mark.parametrize("merge", [library_merge, str_replace], ids=lambda merge: merge.__name__)
def test_your_law_accepts_a_right_merge(merge):
    assert accepts(merge), f"your law raises AssertionError for {merge.__name__}, which is right"


# --- and reject these: each is wrong on some list


def only_the_first_occurrence(symbols, pair, new):
    for i in range(len(symbols) - 1):
        if (symbols[i], symbols[i + 1]) == pair:
            return [*symbols[:i], new, *symbols[i + 2 :]]
    return list(symbols)


def from_the_right(symbols, pair, new):
    backwards = library_merge(symbols[::-1], pair[::-1], new)
    return backwards[::-1]


def overlapping_pairs_are_all_joined(symbols, pair, new):
    out = []
    for i, symbol in enumerate(symbols):
        if tuple(symbols[i : i + 2]) == pair:
            out.append(new)
        elif i == 0 or tuple(symbols[i - 1 : i + 1]) != pair:
            out.append(symbol)
    return out


def the_last_id_is_forgotten(symbols, pair, new):
    merged = library_merge(symbols, pair, new)
    return merged if merged[-1:] == [new] else merged[:-1]


def the_order_within_the_pair_is_ignored(symbols, pair, new):
    out, i = [], 0
    while i < len(symbols):
        found = sorted(symbols[i : i + 2]) == sorted(pair)
        out.append(new if found else symbols[i])
        i += 2 if found else 1
    return out


def looked_for_at_even_places_only(symbols, pair, new):
    out = []
    for i in range(0, len(symbols), 2):
        two = symbols[i : i + 2]
        out += [new] if tuple(two) == pair else two
    return out


def digits_instead_of_ids(symbols, pair, new):
    text = " ".join(map(str, symbols)).replace(f"{pair[0]} {pair[1]}", str(new))
    return [int(digits) for digits in text.split()]


def the_list_passed_in_is_changed(symbols, pair, new):
    symbols[:] = library_merge(symbols, pair, new)
    return symbols


WRONG = [
    *(only_the_first_occurrence, from_the_right, overlapping_pairs_are_all_joined),
    *(the_last_id_is_forgotten, the_order_within_the_pair_is_ignored),
    *(looked_for_at_even_places_only, digits_instead_of_ids, the_list_passed_in_is_changed),
]


@pytest.mark.parametrize("merge", WRONG, ids=lambda merge: merge.__name__)
def test_your_law_rejects_a_wrong_merge(merge):
    name = merge.__name__
    assert not accepts(merge), f"your law accepts {name}: add a call that shows its mistake"


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_your_law_accepts_a_right_merge": (
        "Your law complains about a version that is right. Work out by hand what one of your lists "
        "should become.",
        "Joining begins at the left, and each old id is used for at most one pair: the section "
        "'Joining, exactly' shows it on equal ids. A wrong expected list is the likely slip.",
        "Three equal ids, the pair twice this id: `merge([1, 1, 1], (1, 1), 99)` is [99, 1].",
    ),
    "test_your_law_rejects_a_wrong_merge": (
        "The name after 'accepts' says what is wrong with that version. On which short list does it "
        "return something else than the right one?",
        "Compare whole lists, with `assert`. Your lists should hold: nothing at all; three equal ids; "
        "the pair twice, at an even and at an odd place, and once in the other order, with an "
        "ordinary id at the end; ids of two digits. And the list passed in must stay as it was.",
        "For each (symbols, pair, want), such as ([3, 1, 2, 1, 2, 2, 1], (1, 2), [3, 99, 99, 2, 1]) or "
        "([11, 2, 1, 22], (1, 2), [11, 2, 1, 22]): before = list(symbols); merged = merge(symbols, "
        "pair, 99); assert merged == want and symbols == before.",
    ),
}
DIFFERS = (
    "It is a table of four cases and one assert, which compares the whole list and the list passed "
    "in. A law that only checks properties (nothing is lost, no pair is left) would let a merge "
    "from the right through."
)
