"""02  Encode a word.  Read lessons/02_bpe.md, then make this file green."""

from hypothesis import given
from hypothesis import strategies as st

from miniclip.bpe.merges import learn_merges, merge

ANSWER = "miniclip.bpe.merges:segment"
FIRST = (
    "test_what_was_learned_first_goes_first_wherever_it_stands",
    "test_the_last_merge_comes_last",
)


def segment(symbols, merges):
    """Encode one word as if it had been among the words from which the merges were learned.

    symbols: list of ids; merges: dict (left, right) -> id, in which smaller ids were learned
    earlier. -> list of ids
    """
    raise NotImplementedError  # 3 lines, or 6 that are fast


words = st.lists(st.integers(0, 2), max_size=10)
corpora = st.dictionaries(words.map(tuple), st.integers(1, 4), max_size=8)


def undone(symbols, merges):
    parts = {new: pair for pair, new in merges.items()}
    out = []
    for symbol in symbols:
        out += undone(parts[symbol], merges) if symbol in parts else [symbol]
    return out


def test_nothing_and_a_single_id_stay_as_they_are():
    for word in ([], [7]):
        assert segment(word, {(0, 1): 10}) == word, f"{word} has no neighbours, but did not stay"


@given(words, corpora)
def test_nothing_is_lost(word, corpus):
    merges = learn_merges(corpus, 9, 10)
    assert undone(segment(word, merges), merges) == word, "the entries do not spell the word"


@given(words, corpora)
def test_nothing_is_left_to_join(word, corpus):
    merges = learn_merges(corpus, 9, 10)
    out = segment(word, merges)
    left = [pair for pair in zip(out, out[1:]) if pair in merges]
    assert not left, f"merges that still apply: {left}"


def test_what_was_learned_first_goes_first_wherever_it_stands():
    a, b, c = 0, 1, 2
    for merges, want in (
        ({(b, c): 10, (a, b): 11}, [a, 10]),
        ({(a, b): 10, (b, c): 11}, [10, c]),
    ):
        got = segment([a, b, c], merges)
        assert got == want, f"{merges} makes {got} of [0, 1, 2], not {want}: 10 was learned first"


@given(words, corpora)
def test_the_last_merge_comes_last(word, corpus):
    merges = learn_merges(corpus, 9, 10)
    while merges:
        got = segment(word, merges)
        pair, new = merges.popitem()
        want = merge(segment(word, merges), pair, new)
        assert got == want, f"{pair} was learned last, but is not what is joined last in {word}"
    assert segment(word, {}) == word, "without merges the word is not itself"


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_nothing_and_a_single_id_stay_as_they_are": (
        "How many pairs of neighbours does a word of a single id have?",
        "A word without neighbours has no pair to choose from, and `min` of nothing is an error.",
        "while len(symbols) > 1: ... ; return symbols",
    ),
    "test_nothing_is_lost": (
        "Do the pieces that you return spell the word that you were given?",
        "Each round replaces the word by what `merge` makes of it; nothing is removed or added.",
        "symbols = merge(symbols, pair, merges[pair])",
    ),
    "test_nothing_is_left_to_join": (
        "After one merge, may another one apply? When does your loop end?",
        "A merge makes new neighbours, and other merges may apply to them. The loop ends when no "
        "pair of neighbours is in `merges`.",
        "In a loop: if pair not in merges: break; symbols = merge(symbols, pair, merges[pair])",
    ),
} | dict.fromkeys(
    FIRST,
    (
        "Several merges may apply to the word. Which of them is done first?",
        "Neither the leftmost pair nor the longest piece goes first, but the merge that was learned "
        "first, and its id in `merges` is the smallest: 'Encode a new word'.",
        "min(zip(symbols, symbols[1:]), key=lambda pair: merges.get(pair, math.inf))",
    ),
)
DIFFERS = (
    "Going through all merges of the vocabulary in turn gives the same ids. The library looks only at "
    "the pairs that stand in the word, because a word has a few pairs and the released vocabulary "
    "has tens of thousands of merges."
)
