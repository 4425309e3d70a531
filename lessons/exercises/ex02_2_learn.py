"""02  Learn the merges.  Read lessons/02_bpe.md, then make this file green."""

from collections import Counter  # noqa: F401  (for your answer)

from hypothesis import given
from hypothesis import strategies as st

from miniclip.bpe.merges import merge  # noqa: F401  (for your answer)
from tests.merging import pairs_before_each_merge

ANSWER = "miniclip.bpe.merges:learn_merges"
COUNTING = (
    "test_the_words_of_the_paper_s_algorithm_1",
    "test_each_merge_is_the_smallest_of_the_most_frequent_pairs_of_its_time",
)


def learn_merges(words, n, first):
    """Train: n times, join the pair that occurs most often into a new id.

    words: dict tuple of ids -> how often the word occurs. The new ids are first, first + 1, ...
    Ties go to the smallest pair, so the result does not depend on the order of the words. Training
    ends early when no pair occurs twice. -> dict (left, right) -> id, in the order learned
    """
    raise NotImplementedError  # about 12 lines, if you count everything again each time


corpora = st.dictionaries(
    st.lists(st.integers(0, 2), max_size=8).map(tuple), st.integers(1, 4), max_size=8
)


@given(corpora, st.integers(0, 9))
def test_ids_count_up_from_the_first(corpus, n):
    ids = list(learn_merges(corpus, n, 10).values())
    assert len(ids) <= n, "more merges than asked for"
    assert ids == list(range(10, 10 + len(ids))), "the ids do not count up from the first"


@given(corpora)
def test_the_words_are_left_alone(corpus):
    before = dict(corpus)
    learn_merges(corpus, 9, 10)
    assert corpus == before, "the dict that was passed in has changed"


@given(corpora)
def test_the_order_of_the_words_is_of_no_consequence(corpus):
    backwards = dict(reversed(corpus.items()))
    same = list(learn_merges(corpus, 9, 10)) == list(learn_merges(backwards, 9, 10))
    assert same, "the words in another order give other merges: what settles a tie?"


def test_the_words_of_the_paper_s_algorithm_1():
    corpus = {"low": 5, "lower": 2, "newest": 6, "widest": 3}
    words = {tuple(map(ord, word)): times for word, times in corpus.items()}
    made = {ord(letter): letter for word in corpus for letter in word}
    for (left, right), new in learn_merges(words, 5, 1000).items():
        made[new] = made[left] + made[right]
    entries = [made.get(i) for i in range(1000, 1005)]
    want = ["es", "est", "lo", "low", "ew"]
    assert entries == want, (
        f"the entries are {entries}, not {want}: is each pair counted as often as its word occurs, again after each "
        "merge, and of equally frequent pairs the smaller one joined?"
    )


@given(corpora)
def test_it_ends_when_no_pair_occurs_twice_and_not_before(corpus):
    for pair, pairs in pairs_before_each_merge(corpus, learn_merges(corpus, 1000, 10)):
        if pair:
            assert pairs[pair] > 1, f"{pair} was joined, but did not occur twice"
        else:
            assert max(pairs.values(), default=0) < 2, "a pair that occurs twice is left"


@given(corpora, st.integers(0, 9))
def test_each_merge_is_the_smallest_of_the_most_frequent_pairs_of_its_time(corpus, n):
    for pair, pairs in pairs_before_each_merge(corpus, learn_merges(corpus, n, 10)):
        assert not pair or pairs[pair] == max(pairs.values(), default=0), (
            f"{pair} was joined, which occurs {pairs[pair]} times then; another pair occurs more often"
        )
        smaller = [
            other for other in pairs if pair and pairs[other] == pairs[pair] and other < pair
        ]
        assert not smaller, f"{pair} was joined before {smaller}: as frequent, but smaller"


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_ids_count_up_from_the_first": (
        "Which ids do your merges have, and how many merges are there?",
        "The first merge gets the id `first`, the next one `first + 1`. There are at most n of them.",
        "new = first + len(merges), in a loop `for _ in range(n)`",
    ),
    "test_the_words_are_left_alone": (
        "Where does your loop keep the words while their ids change?",
        "The caller's dict must stay as it was, so the loop needs a list of its own.",
        "words = [(list(ids), times) for ids, times in words.items()]",
    ),
    "test_the_order_of_the_words_is_of_no_consequence": (
        "Two pairs are equally frequent. Does your choice depend on which of them you met first?",
        "Of equally frequent pairs, the one with the smaller left id is joined, and then the one with the "
        "smaller right id: 'Joining, exactly'. `max` over a Counter, and most_common, give the one that "
        "was met first.",
        "Compare frequency and pair in one key: min(pairs, key=lambda pair: (-pairs[pair], pair))",
    ),
    "test_it_ends_when_no_pair_occurs_twice_and_not_before": (
        "How often does the last pair that you joined occur, and how often the most frequent one that "
        "is left?",
        "Learning goes on as long as some pair occurs twice, counting a word as often as it occurs, "
        "and as long as fewer than n merges are made: 'Joining, exactly'.",
        "Before joining: if not pairs or max(pairs.values()) < 2: break",
    ),
} | dict.fromkeys(
    COUNTING,
    (
        "Which pairs are the most frequent at the moment of this merge, and what did your words look "
        "like then?",
        "After each merge, every word has to be replaced by what `merge` makes of it, and the pairs are "
        "counted again, each as often as its word occurs: 'Four words'. Of equally frequent pairs, "
        "the smaller tuple (left, right) is joined.",
        "Each round: count the pairs of all words, take min(pairs, key=lambda pair: (-pairs[pair], "
        "pair)), and replace each word by merge(word, pair, new).",
    ),
)
DIFFERS = (
    "The library keeps the counts from merge to merge and recounts only the words that hold the joined "
    "pair; a heap gives the next pair. On real captions, counting everything again would be about a "
    "hundred times slower."
)
