"""The vocabulary in Hugging Face's files: tokenizer.json, or vocab.json and merges.txt.

All write an entry in visible characters (byte_alphabet) and the end of a word as "</w>". The ids must
be in the order of bpe/tokenizer.py, as they are in the released files: bytes, bytes that end a word,
merges, start, end. Words are split and lower-cased by bpe/cleaning.py, so what tokenizer.json says of
that is checked. docs/weights.md lists the texts that transformers' tokenizer reads otherwise.
Left out: added tokens, other kinds of tokenizers.
"""

import json

from miniclip.bpe import Tokenizer
from miniclip.bpe.tokenizer import END as WORD_END
from miniclip.bpe.tokenizer import byte_alphabet
from miniclip.common import UserError, replacing, write_json
from miniclip.weights.limits import WRONG, read_json

START, END = "<|startoftext|>", "<|endoftext|>"
# what every tokenizer.json of CLIP splits words with, as JSON
SPLIT = json.dumps(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")[1:-1]


def read_tokenizer(folder, context_length):
    """The Tokenizer in a folder (a Path), or None where there is none. UserError for one that is
    damaged or of another kind than CLIP's."""
    path = folder / "tokenizer.json"
    try:
        if path.is_file():
            vocabulary, merges = _from_tokenizer_json(read_json(path))
        elif (path := folder / "vocab.json").is_file():
            vocabulary = read_json(path)
            lines = (folder / "merges.txt").read_text(encoding="utf-8").split("\n")
            merges = [line for line in lines if line and not line.startswith("#version")]
        else:
            return None
        pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in merges]
        tokenizer = Tokenizer([(vocabulary[a], vocabulary[b]) for a, b in pairs], context_length)
        entries = _entries(tokenizer)
        if vocabulary != {name: i for i, name in enumerate(entries)}:
            odd = min(vocabulary.keys() ^ set(entries), default="the order")
            raise ValueError(f"its entries are not bytes, merges, start and end ({odd[:40]!r})")
    except KeyError as error:
        raise UserError(f"{path} holds no tokenizer of CLIP's kind: it lacks {error}") from None
    except WRONG as error:
        raise UserError(f"{path} holds no tokenizer of CLIP's kind: {error}") from None
    return tokenizer


def write_tokenizer(tokenizer, folder, context_length):
    """Write the files that transformers' CLIPTokenizer reads into a folder (a Path)."""
    entries = _entries(tokenizer)
    vocabulary = {name: i for i, name in enumerate(entries)}
    if len(vocabulary) < len(entries):  # such as "</w>" learned from text
        raise UserError("transformers' files write two entries of this vocabulary alike")
    merges = (f"{entries[left]} {entries[right]}\n" for left, right in tokenizer.merges)
    write_json(folder / "vocab.json", vocabulary)
    with replacing(folder / "merges.txt") as file:
        file.write(("#version: 0.2\n" + "".join(merges)).encode())
    special = {"bos_token": START, "eos_token": END, "pad_token": END, "unk_token": END}
    kind = {"tokenizer_class": "CLIPTokenizer", "model_max_length": context_length}
    write_json(folder / "tokenizer_config.json", special | kind)


def _from_tokenizer_json(whole):
    """tokenizer.json -> ({entry: id}, merges)."""
    model = whole["model"]
    if model.get("type", "BPE") != "BPE" or model.get("end_of_word_suffix") != "</w>":
        raise ValueError("its model is no byte-pair encoding with word ends")
    splits, normalizes = (json.dumps(whole.get(key)) for key in ("pre_tokenizer", "normalizer"))
    if SPLIT not in splits or '"Lowercase"' not in normalizes:
        raise ValueError("it splits words or treats upper case in another way")
    added = {token["content"]: token["id"] for token in whole.get("added_tokens", [])}
    return model["vocab"] | added, model["merges"]


def _entries(tokenizer):
    """The entries as the files write them, in the order of their ids."""
    alphabet = byte_alphabet()
    words = (
        "".join(alphabet[byte] for byte in piece.removesuffix(WORD_END))
        + "</w>" * piece.endswith(WORD_END)
        for piece in tokenizer.pieces
    )
    return [*words, START, END]
