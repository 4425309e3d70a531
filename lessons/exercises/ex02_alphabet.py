"""02  A character for every byte.  Read lessons/02_bpe.md, then make this file green."""

from hypothesis import given
from hypothesis import strategies as st

ANSWER = "miniclip.bpe.tokenizer:byte_alphabet"


def byte_alphabet():
    """One visible character for each byte, in the order of CLIP's ids. -> dict of 256 int -> str.

    The 188 printable characters of Latin-1 stand for themselves and come first (so id 0 is "!");
    the other 68 bytes follow in order and become U+0100, U+0101, ... Merges files are written in
    these characters.
    """
    raise NotImplementedError  # about 5 lines


def test_every_byte_has_a_character_of_its_own():
    alphabet = byte_alphabet()
    assert sorted(alphabet) == list(range(256))
    assert len(set(alphabet.values())) == 256, "two bytes have the same character"


def test_every_character_can_be_seen():
    for byte, character in byte_alphabet().items():
        assert len(character) == 1 and character.isprintable() and not character.isspace(), byte


@given(st.binary())
def test_nothing_is_lost(data):
    alphabet = byte_alphabet()
    bytes_of = {character: byte for byte, character in alphabet.items()}
    text = "".join(alphabet[byte] for byte in data)
    assert bytes(bytes_of[character] for character in text) == data


def test_what_latin_1_can_print_stands_for_itself_and_comes_first():
    pairs = list(byte_alphabet().items())
    assert pairs[0] == (33, "!") and pairs[187] == (255, "ÿ"), "188 bytes: from ! to ÿ"
    assert all(chr(byte) == character for byte, character in pairs[:188])


def test_the_others_follow_in_order_from_u_0100():
    pairs = list(byte_alphabet().items())[188:]
    assert [byte for byte, _ in pairs] == sorted(byte for byte, _ in pairs)
    assert [ord(character) for _, character in pairs] == list(range(256, 256 + 68))
    assert dict(pairs)[ord(" ")] == "Ġ"  # you have seen it in other people's vocabularies
