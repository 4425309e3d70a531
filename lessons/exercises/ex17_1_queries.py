"""17  Choose the queries.  Read lessons/17_names.md, then make this file green."""

from collections import Counter
from math import log2

from hypothesis import given
from hypothesis import strategies as st

from miniclip.data.curation.curate import keys

ANSWER = "miniclip.data.curation.curate:choose_queries"
HINT = (
    "Ask of each key in turn: is it a name, is it too rare, is it a single word? Only what is left "
    "needs the logarithm, and one sort by two things gives the order."
)


def choose_queries(counts, pairs, names, min_count, min_pmi):
    """The queries, list of str, the rarest first: by the number of pairs, then by the alphabet.

    A bigram's pointwise mutual information is log2 of the pairs that it is in, over the pairs that
    would have both its words if these were independent of each other.
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


def test_new_york_is_a_query_and_a_dog_is_none():
    got = chosen(CITY)
    assert "new york" in got, "new york: 2 of 8 pairs, by chance 2/8 x 2/8 of them: 4 times, 2 bits"
    assert "a dog" not in got, "a dog: 3 of 8 pairs, by chance 7/8 x 3/8: 1.1 times, far from 1 bit"


@given(captions, st.integers(1, 3), limits)
def test_a_bigram_needs_its_count_and_its_information(captions, least, bits):
    counts, got = count(captions), chosen(captions, least, bits)
    for key in filter(lambda key: " " in key, counts):
        left, right = (counts[word] / len(captions) for word in key.split())
        information = log2(counts[key] / len(captions) / (left * right))
        if abs(information - bits) < 1e-9:
            continue  # a rounding could decide
        want = counts[key] >= least and information > bits
        assert (key in got) == want, (
            f"{key!r} is in {counts[key]} of {len(captions)} pairs and has {information:.2f} bits; "
            f"wanted are {least} and {bits}"
        )


def test_the_limit_itself_is_enough():
    counts = {"a": 2, "b": 2, "a b": 2}
    got = choose_queries(counts, 4, frozenset(), 2, 1.0)
    assert "a b" in got, "2 of 4 pairs, by chance 1 of 4: exactly 1 bit, which is at least 1"


def test_a_name_is_a_query_however_rare_and_of_however_little_information():
    names = frozenset({"the car", "a new york", "a dog", "york"})
    got = chosen(CITY, 3, 9.0, names)
    missing = names - {*got}
    assert not missing, f"names of the list that are no queries: {missing}"


def test_a_name_that_no_pair_has_is_no_query():
    assert "paris" not in chosen(CITY, names=frozenset({"paris"})), "no pair has 'paris'"


@given(captions, st.integers(1, 2), limits)
def test_the_rarest_come_first_then_the_alphabet_decides(captions, least, bits):
    counts, got = count(captions), chosen(captions, least, bits)
    assert isinstance(got, list), "a list is wanted, since a set has no order"
    numbers = [counts[query] for query in got]
    assert numbers == sorted(numbers), f"not the rarest first: {got} are in {numbers} pairs"
    want = sorted(got, key=lambda query: (counts[query], query))
    assert got == want, f"of equally frequent queries the first by the alphabet: {want}, not {got}"
