"""17  Choose the queries.  Read lessons/17_names.md, then make this file green."""

from collections import Counter
from math import log2, prod  # noqa: F401  (log2: for your answer)

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniclip.data.curation.curate import keys

ANSWER = "miniclip.data.curation.curate:choose_queries"


def choose_queries(counts, pairs, names, min_count, min_pmi):
    """The queries: list of str, sorted by the number of their pairs and then by the alphabet.

    counts: {what could be a query: the number of pairs that have it}. pairs: the number of all
    pairs. A bigram's pointwise mutual information is log2 of a ratio: the number of pairs that have
    it, over the number that would have both words if the two words were independent of each other.
    """
    # counts: {key: pairs that it is in}, the keys words, bigrams and names ("a b" is a bigram);
    # pairs: how many there are; names: keys that are queries however rare and of however little
    # information. A key needs at least min_count pairs, a bigram at least min_pmi bits as well.
    raise NotImplementedError  # about 8 lines


captions = st.lists(
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=4).map(" ".join), min_size=1, max_size=20
)
limits = st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0])
CITY = ["a new york", "a new york", "a car", "a car", "a dog", "a dog", "a dog", "the car"]


def count(captions, names=frozenset()):
    return Counter(key for own in captions for key in keys([own], names, [3]))


def chosen(captions, min_count=2, min_pmi=1.0, names=frozenset()):
    return choose_queries(count(captions, names), len(captions), names, min_count, min_pmi)


@given(captions, st.integers(1, 5))
def test_a_word_is_a_query_from_min_count_pairs_on(captions, least):
    words = {key: n for key, n in count(captions).items() if " " not in key}
    got = {query for query in chosen(captions, least) if " " not in query}
    want = {word for word, n in words.items() if n >= least}
    assert got == want, f"the words in {least} pairs or more are {want}, not {got}: {words}"


def test_names_of_the_list_are_queries_if_a_pair_has_them():
    names = frozenset({"the car", "a new york", "a dog", "york", "paris"})
    try:
        got = {*chosen(CITY, 3, 9.0, names)}
    except KeyError as error:
        pytest.fail(f"{error} is a name, and no pair has it: it is not in `counts`")
    missing = names - got - {"paris"}
    assert not missing, f"names of the list that are no queries: {missing}"
    assert "paris" not in got, "no pair has 'paris'"


def test_new_york_is_a_query_and_a_dog_is_none():
    got = chosen(CITY)
    assert "new york" in got, "new york: 2 of 8 pairs, by chance 2/8 x 2/8 of them: 4 times, 2 bits"
    assert "a dog" not in got, "a dog: 3 of 8 pairs, by chance 7/8 x 3/8: 1.1 times, far from 1 bit"
    got = chosen(CITY, min_pmi=1.5)
    assert "new york" in got, "new york has 2 bits, so 1.5 are no hindrance"


def test_the_limit_itself_is_enough():
    counts = {"a": 2, "b": 2, "a b": 2}
    got = choose_queries(counts, 4, frozenset(), 2, 1.0)
    assert "a b" in got, "2 of 4 pairs, by chance 1 of 4: exactly 1 bit, which is at least 1"


@given(captions, st.integers(1, 3), limits)
def test_a_bigram_needs_its_count_and_its_information(captions, least, bits):
    counts, got = count(captions), chosen(captions, least, bits)
    for key in filter(lambda key: " " in key, counts):
        shares = [counts[word] / len(captions) for word in key.split()]
        wanted = 2**bits * prod(shares) * len(captions)  # of pairs with the bigram
        if abs(counts[key] - wanted) < 1e-9:
            continue  # a rounding could decide
        want = counts[key] >= least and counts[key] > wanted
        assert (key in got) == want, (
            f"{key!r} is in {counts[key]} of {len(captions)} pairs; wanted are {least}, and for "
            f"{bits} bits {wanted:.2f} or more"
        )


@given(captions, st.integers(1, 2), limits)
def test_the_rarest_come_first_then_the_alphabet_decides(captions, least, bits):
    counts, got = count(captions), chosen(captions, least, bits)
    assert isinstance(got, list), "a list is wanted, since a set has no order"
    for one, other in zip(got, got[1:]):
        a, b = counts[one], counts[other]
        assert a <= b, f"{one!r} with {a} pairs stands before {other!r} with {b}"
        assert a < b or one < other, (
            f"{one!r} and {other!r} both have {a} pairs, so the alphabet decides"
        )


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_a_word_is_a_query_from_min_count_pairs_on": (
        "Is a word that is in exactly min_count pairs among your queries?",
        "A single word needs nothing but its count, and the limit itself is enough. Mutual information is "
        "asked of bigrams only (lesson 17, 'Step 1').",
        'if " " not in key: a query if counts[key] >= min_count',
    ),
    "test_names_of_the_list_are_queries_if_a_pair_has_them": (
        "Which keys are excused from both limits, and which keys are there at all?",
        "A name of the list is a query however rare it is, but a name that no pair has is not in `counts`. "
        "So go through the keys of `counts`, and ask of each first whether it is in `names`.",
        "[key for key in counts if key in names or ...]",
    ),
    "test_new_york_is_a_query_and_a_dog_is_none": (
        "In how many of the eight pairs would you expect both words by chance?",
        "The number of pairs, all of them, belongs into the formula: with 7 of 8 pairs having 'a' and 3 of 8 "
        "having 'dog', chance gives 7 x 3 / 8 pairs. And the logarithm is to base 2.",
        "chance = counts[left] * counts[right] / pairs, bits = log2(counts[key] / chance)",
    ),
    "test_the_limit_itself_is_enough": (
        "Is `at least` > or >=?",
        "The comments say that a key needs at least min_count pairs, and a bigram at least min_pmi bits.",
        "bits >= min_pmi, and not bits > min_pmi",
    ),
    "test_a_bigram_needs_its_count_and_its_information": (
        "Two conditions: which of them does the bigram in the message fulfil?",
        "A bigram needs at least min_count pairs and at least min_pmi bits, and both of its words count in "
        "the expectation by chance.",
        "a query if counts[key] >= min_count and log2(counts[key] * pairs / (counts[left] * counts[right])) "
        ">= min_pmi",
    ),
    "test_the_rarest_come_first_then_the_alphabet_decides": (
        "Sorted by what first, and by what among equals?",
        "The first criterion is the number of pairs, the smallest first. Among equally frequent queries the "
        "order of `counts` must not matter, so the alphabet decides.",
        "sorted(..., key=lambda key: (counts[key], key))",
    ),
}
DIFFERS = (
    "The library has the same conditions in a function inside, `is_query`, so that one line can filter and sort. "
    "It multiplies whole numbers before it divides, so there is only one rounding before the logarithm."
)
