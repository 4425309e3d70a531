"""02  Encode a word.  Read lessons/02_bpe.md, then make this file green."""

from hypothesis import given
from hypothesis import strategies as st

from miniclip.bpe.merges import learn_merges, merge

ANSWER = "miniclip.bpe.merges:segment"
HINT = (
    "In each round, find among all neighbours the pair with the smallest id in `merges`, and join it "
    "everywhere. Which number should a pair count as that is not in `merges`?"
)


def segment(symbols, merges):
    """Encode one word: apply the merges to it, the earliest learned first, until none applies.

    symbols: list of ids; merges: dict (left, right) -> id, a smaller id learned earlier. -> list
    """
    raise NotImplementedError  # about 6 lines


words = st.lists(st.integers(0, 2), max_size=10)
corpora = st.dictionaries(words.map(tuple), st.integers(1, 4), max_size=8)


def undone(symbols, merges):
    parts = {new: pair for pair, new in merges.items()}
    out = []
    for symbol in symbols:
        out += undone(parts[symbol], merges) if symbol in parts else [symbol]
    return out


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


@given(words, corpora)
def test_it_is_the_merges_of_training_in_their_order(word, corpus):
    merges = learn_merges(corpus, 9, 10)
    want = word
    for pair, new in merges.items():
        want = merge(want, pair, new)
    assert segment(word, merges) == want, "not what the merges give one after another"


def test_what_was_learned_first_goes_first_wherever_it_stands():
    a, b, c = 0, 1, 2
    for merges, want in (
        ({(b, c): 10, (a, b): 11}, [a, 10]),
        ({(a, b): 10, (b, c): 11}, [10, c]),
    ):
        got = segment([a, b, c], merges)
        assert got == want, f"{merges} makes {got} of [0, 1, 2], not {want}: 10 was learned first"


def test_nothing_and_a_single_id_stay_as_they_are():
    for word in ([], [7]):
        assert segment(word, {(0, 1): 10}) == word, f"{word} has no neighbours, but did not stay"
