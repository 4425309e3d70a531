"""Hugging Face's vocabulary files become a Tokenizer with equal ids, and back."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from miniclip.bpe import Tokenizer
from miniclip.bpe.cleaning import clean
from miniclip.data.emoji.emoji import read_table
from miniclip.weights.huggingface import SPLIT, read_tokenizer
from tests.shared import must_refuse
from tests.weights.models import write_tokenizer

transformers = pytest.importorskip("transformers")
TEXTS = ["a red heart", "a red cup", "two red cups, it's 12 o'clock", "été à la plage"] * 9
# transformers' tokenizer gives other ids for these, and the same once they are cleaned, but for the
# last two. docs/weights.md has the list.
DIFFERENT = {
    "html": ["black &amp; white", "&lt;b&gt;", "caf&eacute;", "5 &gt 3"],
    "control characters": ["a\x1cb", "a\x00b", "\x1b[36mred", "a\x0bb", "\ufeffa cat"],
    "quotation marks": ["it’s", "“quoted”"],
    "ligatures": ["ﬁsh", "ﬀ"],
    "full and half width": ["ＡＢ", "猫，犬", "ﾊﾝｶｸ"],
    "wrong encoding": ["donâ€™t"],
    "final sigma": ["ΣΊΣΥΦΟΣ"],
    "names of special tokens": ["<|endoftext|>", "a <|startoftext|> b"],
    "long s": ["it'ſ"],
}
EQUAL = [
    "café",
    "cafe\u0301",
    "İstanbul",
    "…",
    "½ ① x² Ⅷ",
    "日本 한",
    "'S 'RE",
    "a\xa0b",
    "R&B & <b>",
]


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """(the released tokenizer, that of transformers from our files, their folder)."""
    folder = tmp_path_factory.mktemp("released")
    ours = Tokenizer.openai()
    write_tokenizer(ours, folder, 77)
    return ours, transformers.CLIPTokenizerFast.from_pretrained(folder), folder


@pytest.fixture
def learned(tmp_path):
    """(a folder with vocab.json and merges.txt, its tokenizer)."""
    tokenizer = Tokenizer.train(TEXTS, 560, context_length=12)
    write_tokenizer(tokenizer, tmp_path, 12)
    return tmp_path, tokenizer


@given(st.lists(st.text([chr(k) for k in range(32, 127) if chr(k) != "&"]), max_size=20))
@example([row["name"] for row in read_table() if row["name"].isascii()])
@example(EQUAL)
def test_ids_of_ascii_captions_and_of_most_others_equal_transformers(released, texts):
    """Without "&", which may start an entity of HTML."""
    ours, theirs, _ = released
    texts = [*texts, "a cup"]
    found = theirs(texts, padding="max_length", truncation=True, max_length=77)["input_ids"]
    for text, a, b in zip(texts, ours(texts).tolist(), found):
        length = a.index(ours.end) + 1
        assert a[:length] == b[:length] and set(b[length:]) <= {ours.end}, text


@pytest.mark.parametrize("kind", DIFFERENT)
def test_transformers_differs_where_the_docs_say_so(released, kind):
    ours, theirs, _ = released

    def same(text):
        return theirs(text)["input_ids"][1:-1] == ours.encode(text)

    for text in DIFFERENT[kind]:
        assert not same(text), text
        assert same(clean(text)) == (kind not in ("names of special tokens", "long s")), text


# --- files


@pytest.mark.parametrize("kind", ["CLIPTokenizer", "CLIPTokenizerFast"])
def test_a_learned_vocabulary_is_written_and_read_again(learned, tmp_path, kind):
    folder, tokenizer = learned
    theirs = getattr(transformers, kind).from_pretrained(folder)
    assert theirs.model_max_length == 12 and len(theirs) == tokenizer.vocab_size
    for text in TEXTS[:4]:
        assert theirs(text)["input_ids"][1:-1] == tokenizer.encode(text)
    assert theirs.eos_token_id == theirs.pad_token_id == tokenizer.end
    theirs.save_pretrained(tmp_path / "again")  # tokenizer.json, or vocab.json and merges.txt
    for path in (folder, tmp_path / "again"):
        found = read_tokenizer(path, 12)
        assert found.state() == tokenizer.state()
    assert read_tokenizer(tmp_path / "nothing", 12) is None


@pytest.mark.slow
def test_the_released_files_are_the_released_vocabulary(released, tmp_path):
    ours, theirs, folder = released
    assert read_tokenizer(folder, 77).digest == "openai"
    theirs.save_pretrained(tmp_path)
    (tmp_path / "vocab.json").unlink(missing_ok=True)
    whole = json.loads((tmp_path / "tokenizer.json").read_text())
    merges = whole["model"]["merges"]  # lists or strings, depending on the version of tokenizers
    for form in (merges, [m if isinstance(m, str) else " ".join(m) for m in merges]):
        whole["model"]["merges"] = form
        (tmp_path / "tokenizer.json").write_text(json.dumps(whole))
        assert read_tokenizer(tmp_path, 77).digest == "openai"


def test_other_tokenizers_are_refused_in_one_sentence(learned):
    folder, tokenizer = learned
    transformers.CLIPTokenizerFast.from_pretrained(folder).save_pretrained(folder)
    path = folder / "tokenizer.json"
    good = json.loads(path.read_text())
    model, normalizers = good["model"], good["normalizer"]["normalizers"]
    vocabulary = model["vocab"]
    swapped = vocabulary | {"x": vocabulary["z"], "z": vocabulary["x"]}  # in no merge
    added = [*good["added_tokens"], {"content": "<cat>", "id": tokenizer.vocab_size}]
    split, level = good["pre_tokenizer"]["pretokenizers"]
    ends = {**good["post_processor"], "sep": ["<|endoftext|>", 5]}
    rows = [{"Sequence": {"id": "A", "type_id": 0}}]
    rows += [{"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}]

    def several(part, *steps):
        return {part: {"type": "Sequence", part.replace("_", "") + "s": steps}}

    for parts, words in (
        ({"model": {"type": "WordPiece", "vocab": {}}}, "must be a byte-pair encoding"),
        ({"model": {**model, "end_of_word_suffix": ""}}, "must be a byte-pair encoding"),
        ({"model": {**model, "ignore_merges": True}}, "must be a byte-pair encoding"),
        ({"model": {**model, "vocab": swapped}}, "the order"),
        ({"model": {**model, "merges": ["zz a"]}}, "lacks 'zz'"),
        ({"model": {**model, "merges": [3]}}, "tokenizer of CLIP's kind"),
        ({"model": {k: v for k, v in model.items() if k != "merges"}}, "lacks 'merges'"),
        ({"model": []}, "tokenizer of CLIP's kind"),
        ({"normalizer": None}, "upper case"),
        (several("normalizer", *normalizers, {"type": "NFD"}), "upper case"),
        ({"pre_tokenizer": {"type": "ByteLevel"}}, "splits words"),
        (several("pre_tokenizer", split), "splits words"),
        (several("pre_tokenizer", {**split, "invert": False}, level), "splits words"),
        (several("pre_tokenizer", level, split, level), "splits words"),
        ({"added_tokens": added}, "<cat>"),
        ({"post_processor": ends}, "rows"),
        ({"post_processor": {"type": "TemplateProcessing", "single": rows}}, "rows"),
        ({"post_processor": {"type": "Sequence", "processors": [{}, ends]}}, "rows"),
        *((text, "tokenizer of CLIP's kind") for text in ("", "{", "[]", "3", "[" * 10**5)),
    ):
        path.write_text(parts if isinstance(parts, str) else json.dumps({**good, **parts}))
        assert str(path) in must_refuse(words, read_tokenizer, folder, 12)
    # transformers 4 did not name the special tokens there, and tokenizers 0.12 has no use_regex
    old = {**split, "pattern": {"Regex": SPLIT}}, {"type": "ByteLevel", "add_prefix_space": False}
    rows = [{"SpecialToken": {"id": "<|startoftext|>", "type_id": 0}}, *rows]
    for rules in (None, {"type": "TemplateProcessing", "single": rows}):
        parts = several("pre_tokenizer", *old) | dict(post_processor=rules)
        path.write_text(json.dumps({**good, **parts}))
        assert read_tokenizer(folder, 12).digest == tokenizer.digest
    (folder / "added_tokens.json").write_text('{"<cat>": 560}')
    must_refuse("tokenizer.json holds .* added tokens", read_tokenizer, folder, 12)


@pytest.mark.parametrize("name", ["vocab.json", "merges.txt"])
def test_a_vocabulary_without_its_merges_or_the_other_way_round_is_refused(learned, name):
    (learned[0] / name).unlink()
    must_refuse(
        f"^[^\n]*vocab.json or merges.txt holds no tokenizer[^\n]*{name}",
        read_tokenizer,
        learned[0],
        12,
    )
