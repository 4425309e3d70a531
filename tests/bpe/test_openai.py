"""The released vocabulary: ids equal to open_clip's tokenizer on every text without its two special
strings (which we read as text), and the merges in the package are open_clip's."""

import functools
import gzip
import html.entities
import importlib.util
import random
import re
import sys
import unicodedata

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from miniclip.benchmarks.tokenizing import captions
from miniclip.bpe.tokenizer import MERGES_FILE, Tokenizer, byte_alphabet
from tests.bpe.test_tokenizer import in_python
from tests.shared import must_refuse

LANGUAGES = """
a dog and a cat in front of the old house | un chien et un chat devant l’école, déjà vus à Noël
ein Hund und eine Katze vor dem großen Haus | un perro y un gato en la montaña, ¿dónde están?
um cão e um gato à frente da estação | un cane e un gatto davanti alla città, perché no?
câine și pisică în fața casei | een hond en een kat vóór het huis | en hund och en katt framför hästen
en hund og en kat foran æblet på øen | koira ja kissa talon edessä yöllä | kutya és macska az erdő előtt
pes a kočka před domem, příliš žluťoučký | pies i kot przed domem, zażółć gęślą jaźń | šuo ir katė prie namo
suns un kaķis pie mājas | koer ja kass maja ees õhtul | köpek ve kedi evin önünde, İstanbul ığdır
hundur og köttur fyrir framan húsið, það er | madra agus cat os comhair an tí | ci a chath o flaen y tŷ
con chó và con mèo trước ngôi nhà cũ | anjing dan kucing di depan rumah | mbwa na paka mbele ya nyumba
собака и кошка перед домом, ёлка | собака і кішка перед будинком, їжак | куче и котка пред къщата
пас и мачка испред куће, љубав | σκύλος και γάτα μπροστά από το σπίτι, ΣΊΣΥΦΟΣ | շուն և կատու տան առջև
ძაღლი და კატა სახლის წინ | כלב וחתול לפני הבית | كلب وقطة أمام البيت القديم | سگ و گربه جلوی خانه
کتا اور بلی گھر کے سامنے | घर के सामने कुत्ता और बिल्ली | বাড়ির সামনে কুকুর ও বিড়াল | வீட்டின் முன் நாய் மற்றும் பூனை
ఇంటి ముందు కుక్క మరియు పిల్లి | വീടിനു മുന്നിൽ നായയും പൂച്ചയും | สุนัขและแมวหน้าบ้าน | ໝາແລະແມວຢູ່ຫນ້າເຮືອນ
ឆ្កែនិងឆ្មានៅមុខផ្ទះ | အိမ်ရှေ့မှာ ခွေးနှင့်ကြောင် | 집 앞에 있는 개와 고양이 | 家の前にいる犬と猫、カメラ ﾊﾝｶｸ | 房子前的狗和猫，红色的心
ውሻና ድመት በቤቱ ፊት | རྒྱལ་ཁབ་ཁྱི་དང་བྱི་ལ | ᎩᏟ ᎠᎴ ᏪᏌ
"""
SPECIAL = re.compile("<(start|end)_of_text>", re.I)


@pytest.fixture(scope="module")
def ours():
    return Tokenizer.openai()


@pytest.fixture(scope="module")
def theirs():
    return pytest.importorskip("open_clip.tokenizer").SimpleTokenizer()


@functools.cache
def pieces():
    """{kind: [texts]}"""
    sentences = [s.strip() for s in LANGUAGES.replace("\n", "|").split("|") if s.strip()]
    kinds = {
        "captions": captions(Tokenizer.openai(), 5_000, 0),
        "languages": sentences + [case(s) for s in sentences for case in (str.upper, str.title)],
        "words": " ".join(sentences).split(),
        "emoji": [*map(chr, range(0x1F1E6, 0x1FAFF)), *map(chr, range(0x2600, 0x27BF)), "👩🏽‍🚒"],
        "entities": [f"{amp}{name}" for name in html.entities.html5 for amp in ("&", "&amp;")],
        "numbers of entities": [f"&#{number};" for number in range(0x3000)],
        "marks": ["it's", "'RE", "'ſ", "don’t", "…", "\r\n", "\x1b[36m", "<b>", "2021"],
        "mojibake": [s.encode().decode("cp1252", "replace") for s in sentences],
        "long words": [c * n for c in "aé日😀1!-" for n in (50, 400)] + ["abcdefghij" * 30],
    }
    for character in map(chr, range(sys.maxunicode + 1)):
        kinds.setdefault(unicodedata.category(character)[0], []).append(character)
    return kinds | {"mixed": sum((texts[:3000] for texts in kinds.values()), [])}


def strings(total, seed=0):
    """`total` texts, of a few pieces of each kind in turn. -> iterator of (kind, text)"""
    rng, kinds = random.Random(seed), list(pieces().items())
    for i in range(total):
        kind, texts = kinds[i % len(kinds)]
        yield kind, rng.choice(["", " ", "  "]).join(rng.choices(texts, k=rng.randint(1, 8)))


def check(ours, theirs, texts):
    """The ids of (kind, text) are open_clip's."""
    texts = [(kind, text) for kind, text in texts if not SPECIAL.search(text)]
    wrong = [(kind, text) for kind, text in texts if ours.encode(text) != theirs.encode(text)]
    assert not wrong, f"{len(wrong)} differ, among them {wrong[:5]}"


def test_the_characters_that_stand_for_bytes_are_open_clip_s():
    theirs = pytest.importorskip("open_clip.tokenizer").bytes_to_unicode()
    assert list(byte_alphabet().items()) == list(theirs.items())


@pytest.mark.parametrize("total", [1_000, pytest.param(204_000, marks=pytest.mark.slow)])
def test_ids_equal_open_clip_s(ours, theirs, total):
    check(ours, theirs, strings(total, seed=total))
    for kind, text in strings(total // 10):
        assert ours.encode(text) == in_python(ours, text), (kind, text)


@given(text=st.text(st.characters(), max_size=40))
def test_ids_equal_open_clip_s_on_any_text(ours, theirs, text):
    check(ours, theirs, [("hypothesis", text)])
    assert ours.encode(text) == in_python(ours, text)


@pytest.mark.slow
@pytest.mark.parametrize("of", ["ab", "abcdefghijklmnopqrstuvwxyz", "éèê", "日本語", "!?-"])
def test_ids_equal_open_clip_s_on_words_of_ten_thousand_characters(ours, theirs, of):
    word = "".join(random.Random(3).choices(of, k=10_000))
    check(ours, theirs, [(of, word)])
    assert ours.encode(word) == in_python(ours, word)


def test_the_tensor_equals_open_clip_s(ours, theirs):
    texts = [text for _, text in strings(500, seed=1)]
    assert torch.equal(ours(texts), theirs(texts))
    assert torch.equal(ours(texts, context_length=9), theirs(texts, context_length=9))


def test_the_released_vocabulary_is_one_that_tiktoken_reads_as_python_does(ours):
    assert ours._tiktoken is not None
    assert (ours.vocab_size, ours.start, ours.end) == (49408, 49406, 49407)
    assert ours("a diagram")[0, :5].tolist() == [49406, 320, 22697, 49407, 0]
    assert ours.digest == "openai" and len(Tokenizer(list(ours.merges)[:-1]).digest) == 64


# --- the merges file


def merges_lines():
    spec = importlib.util.find_spec("open_clip")
    path = f"{spec.submodule_search_locations[0]}/bpe_simple_vocab_16e6.txt.gz"
    return gzip.open(path, "rt", encoding="utf-8").read().split("\n")


def test_the_merges_in_the_package_are_open_clip_s(ours):
    packed = gzip.open(MERGES_FILE, "rt", encoding="utf-8").read().splitlines()
    assert packed[1:] == merges_lines()[1:48_895]


def test_the_merges_file_may_be_given_packed_or_not(ours, tmp_path):
    text = "\n".join(merges_lines()[:48_895])
    (tmp_path / "merges.txt").write_text(text, encoding="utf-8")
    (tmp_path / "merges.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "windows.txt").write_bytes(text.replace("\n", "\r\n").encode())
    for name in ("merges.txt", "merges.gz", "windows.txt"):
        assert Tokenizer.openai(tmp_path / name).merges == ours.merges


def test_a_merges_file_that_is_not_one_is_refused(ours, tmp_path):
    good = "\n".join(merges_lines()[:48_895]).encode()
    packed = gzip.compress(good)
    path = tmp_path / "merges"
    lines = good.split(b"\n")
    for bad, words in (
        (
            b"\n".join([lines[0], lines[2], lines[1], *lines[3:]]),
            "not the 48,894 .* in their order",
        ),
        (b"\n".join([*lines[:3], b"the r", *lines[3:]]), "damaged: it lacks 'the'"),
        (b"\n".join(lines[:20_000]), "holds 19,999 merges, and not the 48,894"),
        (packed[:-100], "damaged: Compressed file ended"),
        (b"", "holds 0 merges"),
        (b"\x1f\x8bno", "damaged"),
        (b"\xff\x00", "no merges file"),
        (b"#version\n" + b"a b\n" * 50_000, "two merges make the same"),
    ):
        path.write_bytes(bad)
        must_refuse(words, Tokenizer.openai, path)
    must_refuse("no merges file", Tokenizer.openai, tmp_path / "missing")
