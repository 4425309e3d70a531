"""The tokenizer: nothing is lost, tiktoken and `segment` agree, damaged files are refused."""

import html
import json
import pickle
import random

import ftfy
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from miniclip.bpe import tokenizer
from miniclip.bpe.cleaning import clean, split_words
from miniclip.bpe.merges import segment
from miniclip.bpe.tokenizer import Tokenizer
from tests.shared import must_refuse

CAPTIONS = [
    "a photo of a red heart",
    "flag: Egypt",
    "It's 12 o'clock, isn't it?",
    "woman firefighter",
    "woman firefighter: dark skin tone",
    "a naïve café, Zürich",
    "日本の旗",
    "dog dogs doghouse",
] * 3
TOK = Tokenizer.train(CAPTIONS, 580, context_length=16)
any_text = st.text(st.characters())  # surrogates and unassigned code points too


def in_python(tok, text):
    """The ids as `segment` gives them, without a cache and without tiktoken."""
    words = split_words(clean(text))
    return [i for word in words for i in segment(tok._symbols(word.encode() + b"\xff"), tok.merges)]


def without_space(text):
    return "".join(text.split())


# --- cleaning


@given(any_text)
@example("a &amp;lt; b")
@example("&#xD800; \ud800 \x1c\x1f\x85")
@example("&amp;amp;nbsp;x")
@example("\u03b1\u0345")
def test_decoding_gives_the_cleaned_text_but_for_white_space_and_a_greek_mark(text):
    cleaned = clean(text).replace("\u0345", "")  # in no word of the released pattern
    assert without_space(TOK.decode(TOK.encode(text))) == without_space(cleaned)


@given(st.text(st.characters(max_codepoint=127)))
@example("a < b > c \\ ` ' \" {}")
@example("&lt;")
def test_plain_text_needs_no_repair(text):
    repaired = html.unescape(html.unescape(ftfy.fix_text(text)))
    assert clean(text) == " ".join(repaired.split()).lower()


def test_cleaning_repairs_unescapes_twice_collapses_and_lowers():
    assert clean("  DonÃ¢â‚¬â„¢t\n\tSHOUT &amp;amp; &lt;b&gt;  ") == "don't shout & <b>"
    assert clean("<i> &amp;amp;") == "<i> &"  # where there is markup, ftfy leaves entities alone
    # and words are split as the paper's code does
    assert split_words("it's 2021!? naïve 日本") == "it 's 2 0 2 1 !? naïve 日本".split()


# --- the vocabulary


def test_ids_are_bytes_then_last_bytes_then_merges_then_start_and_end():
    assert TOK.pieces[0] == b"!" and TOK.pieces[256] == b"!\xff"
    assert sorted(TOK.pieces[:256]) == [bytes([b]) for b in range(256)]
    assert [p + b"\xff" for p in TOK.pieces[:256]] == TOK.pieces[256:512]
    assert (TOK.start, TOK.end, TOK.vocab_size) == (578, 579, 580)
    assert TOK.encode("!") == [256]


def test_a_merge_joins_any_entries_before_it_unless_the_left_one_ends_a_word():
    assert Tokenizer([(0, 0), (512, 256), (255, 511)]).pieces[512:] == [
        b"!!",
        b"!!!\xff",
        b"\xad\xad\xff",
    ]
    for left, right in ((-1, 0), (0, -1), (512, 0), (0, 512), (256, 0)):
        must_refuse(
            "^merge 0 joins entries that cannot stand side by side$", Tokenizer, [(left, right)]
        )


def test_a_vocabulary_of_more_entries_than_the_most_is_refused(monkeypatch):
    monkeypatch.setattr(tokenizer, "MOST", 2 * 256 + 1)
    assert len(Tokenizer([(0, 1)]).pieces) == tokenizer.MOST
    must_refuse("^merge 1 makes the vocabulary too large$", Tokenizer, [(0, 1), (1, 0)])


def test_training_depends_on_the_captions_and_not_on_their_order():
    shuffled = random.Random(1).sample(CAPTIONS, len(CAPTIONS))
    assert Tokenizer.train(shuffled, 580, context_length=16).state() == TOK.state()


def test_a_frequent_word_becomes_one_id_and_few_captions_give_few_merges():
    assert len(TOK.encode("firefighter")) == 1
    small = Tokenizer.train(["ab ab"], 5000)
    assert small.context_length == Tokenizer([]).context_length == 77
    assert small.vocab_size == 515 and small.encode("ab") == [512]


# --- tiktoken and Python


@given(any_text)
def test_tiktoken_and_python_agree_on_any_text(text):
    assert TOK._tiktoken is not None
    assert TOK.encode(text) == in_python(TOK, text)


@st.composite
def any_merges(draw):
    """Merges that no training would give: of any two entries, over the letters a, b and c."""
    ids, made, pieces = (
        [64, 65, 66, 320, 321],
        [],
        {64: "a", 65: "b", 66: "c", 320: "a/", 321: "b/"},
    )
    for _ in range(draw(st.integers(0, 8))):
        left = draw(st.sampled_from([i for i in ids if "/" not in pieces[i]]))
        right = draw(st.sampled_from(ids))
        if pieces[left] + pieces[right] not in pieces.values():
            new = 512 + len(made)
            pieces[new] = pieces[left] + pieces[right]
            made.append((left, right))
            ids.append(new)
    return made


@given(any_merges(), st.lists(st.text("abc", min_size=1, max_size=12)))
def test_encoding_equals_python_for_merges_that_no_training_gives(merges, words):
    tok = Tokenizer(merges)
    for word in words:
        assert tok.encode(word) == in_python(tok, word)


def test_tiktoken_is_not_asked_where_it_would_join_other_pairs():
    bc, ab, abc = (65, 66), (64, 65), (513, 66)
    tok = Tokenizer([bc, ab, abc])
    assert tok._tiktoken is None
    assert tok.encode("abcc") == [64, 512, 66 + 256]  # a bc c: the merge that was learned first
    assert Tokenizer([ab, bc, (512, 66)])._tiktoken is not None


def test_ids_are_kept_for_few_pieces_of_text_and_tiktoken_is_not_needed(monkeypatch):
    monkeypatch.setattr(tokenizer, "KEPT", 3)
    tok = Tokenizer(TOK.merges)
    tok._tiktoken = None
    assert [tok.encode(text) for text in CAPTIONS] == [TOK.encode(text) for text in CAPTIONS]
    assert len(tok._known) == 3


# --- the tensor


def test_rows_are_start_text_end_zeros():
    heart, egypt = TOK.encode("a red heart"), TOK.encode("flag: Egypt")
    rows = TOK(["a red heart", "flag: Egypt"])
    assert rows.dtype == torch.int64 and rows.shape == (2, 16)
    assert rows[0].tolist() == [TOK.start, *heart, TOK.end] + [0] * (14 - len(heart))
    assert rows[1, len(egypt) + 1] == TOK.end and rows.argmax(1).tolist()[1] == len(egypt) + 1
    assert torch.equal(TOK("a red heart"), rows[:1])


@given(st.lists(st.text("abc .1", max_size=30), min_size=1, max_size=4))
def test_trimming_only_takes_zeros_away(texts):
    full, trimmed = TOK(texts), TOK(texts, trim=True)
    assert torch.equal(full[:, : trimmed.shape[1]], trimmed)
    assert not full[:, trimmed.shape[1] :].any() and (trimmed[:, -1] != 0).any()


@given(st.text("abc 1", max_size=60), st.integers(2, 20))
def test_long_text_is_cut_and_keeps_its_end(text, length):
    ids, row = TOK.encode(text), TOK(text, context_length=length)[0].tolist()
    assert row[: len(ids) + 2] == [TOK.start, *ids[: length - 2], TOK.end]
    assert len(row) == length


def test_a_word_of_any_length_is_learned_from():
    assert len(Tokenizer.train(["a" * 128] * 3, 600).state()["merges"]) > 7


def test_no_texts_make_no_rows_and_an_empty_text_is_start_and_end():
    assert TOK([]).shape == (0, 16) and TOK([], trim=True).shape == (0, 2)
    assert (
        TOK("", trim=True).tolist() == TOK("", context_length=2).tolist() == [[TOK.start, TOK.end]]
    )


def test_decoding_reads_a_row_until_its_end():
    assert TOK.decode(TOK("a red heart!", trim=False)[0]) == "a red heart !"
    assert TOK.decode([TOK.start, 0, 256, 0, TOK.end, 0]) == "!! !"
    assert TOK(["1" * 14], truncate=False)[0, -1] == TOK.end
    with pytest.raises(TypeError, match="ids must be one row"):
        TOK.decode(TOK("a red heart!"))


@example("<start_of_text> <|endoftext|> <end_of_text>")
@given(any_text)
def test_text_never_becomes_the_start_or_the_end(text):
    assert not {TOK.start, TOK.end} & set(TOK.encode(text))


# --- to a file and back


@given(st.lists(st.text("abc ", max_size=12), max_size=8), st.integers(2, 99))
def test_a_digest_tells_vocabularies_apart_and_nothing_else(corpus, length):
    tok = Tokenizer.train(corpus, 530)
    merges = list(tok.merges)
    assert Tokenizer(merges, length).digest == tok.digest
    for other in (merges[:-1], merges[::-1], [*merges, (90, 90)]):
        try:
            same = Tokenizer(other).pieces == tok.pieces
        except ValueError:  # in this order a merge joins what is not there yet
            continue
        assert (Tokenizer(other).digest == tok.digest) == same
    assert len(bytes.fromhex(tok.digest)) == 32


@given(st.lists(st.text("abc ", max_size=12), max_size=8), st.integers(2, 99))
def test_a_vocabulary_survives_a_file_a_checkpoint_and_a_worker(tmp_path_factory, corpus, length):
    tok, folder = Tokenizer.train(corpus, 530, context_length=length), tmp_path_factory.mktemp("v")
    tok.save(folder / "vocabulary.json")
    torch.save(tok.state(), folder / "x.pt")
    for back in (
        Tokenizer.load(folder / "vocabulary.json"),
        Tokenizer.from_state(torch.load(folder / "x.pt", weights_only=True)),
        pickle.loads(pickle.dumps(tok)),
    ):
        assert back.state() == tok.state() and back.pieces == tok.pieces


OURS = {"format": "miniclip byte-pair vocabulary", "context_length": 77, "merges": []}
CHANGES = [
    dict(merges=[[1]]),
    dict(merges=[[1, 512]]),
    dict(merges=[[300, 1]]),
    dict(merges=[[1, -1]]),
    dict(merges=[[1, 1], [1, 1]]),
    dict(merges={}),
    dict(merges=[[1, 2]], digest=Tokenizer([]).digest),
    dict(context_length="77"),
    dict(note="mine"),
    TOK.state() | dict(context_length=8),
]
NOT_OURS = [
    *(json.dumps(OURS | change) for change in CHANGES),
    *("", "[]", "3", "[" * 100_000, "\x00\x01", '{"merges": []}'),
    json.dumps({"format": OURS["format"]}),
    *(json.dumps(TOK.state())[:cut] for cut in (1, 40, 200, -1)),
]


@pytest.mark.parametrize("content", NOT_OURS)
def test_a_file_that_is_not_ours_is_refused(tmp_path, content):
    path = tmp_path / "vocabulary.json"
    path.write_text(content)
    must_refuse("holds no vocabulary", Tokenizer.load, path)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: Tokenizer.train("one string", 600), "texts must be of type Iterable, not str"),
        (lambda: Tokenizer.train(["a"], 513), "from 514 up, not 513"),
        (lambda: Tokenizer.train(["a"], 600.0), "vocab_size must be of type int, not float"),
        (lambda: Tokenizer("openai"), "merges must be of type Iterable, not str"),
        (lambda: TOK("a", True), "context_length must be of type int or None, not bool"),
        (lambda: Tokenizer.train(["a"], 600, context_length=1), "at least 2 .*not 1"),
        (lambda: Tokenizer.train([3], 600), "must be a str, not int"),
        (lambda: TOK("a", context_length=(1 << 16) + 1), "at most 65536, not 65537"),
        (lambda: TOK(None), "texts must be of type str or Iterable, not NoneType"),
        (lambda: TOK(["fits", "1" * 15], truncate=False), "1{15}. takes 17 ids.* holds only 16"),
        (lambda: TOK.decode([3, 580]), "0 to 579, so 580 is none"),
        (lambda: TOK.decode([3, -1]), "0 to 579, so -1 is none"),
        (lambda: Tokenizer.load("missing"), "holds no vocabulary"),
    ],
)
def test_wrong_arguments_are_refused_in_one_sentence(call, words):
    with pytest.raises(ValueError, match=f"^[^\n]*{words}[^\n]*$"):
        call()
