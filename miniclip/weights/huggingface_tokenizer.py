"""The vocabulary in Hugging Face's files: tokenizer.json, or vocab.json and merges.txt.

These files write an entry in visible characters (byte_alphabet), and the end of a word as "</w>". The
ids must be in the order of bpe/tokenizer.py, as they are in the released files: bytes, bytes that end a
word, merges, start, end. Words are split and lower-cased by bpe/cleaning.py, so tokenizer.json must say
the same of them. docs/weights.md lists the texts that transformers' tokenizer reads otherwise.
Left out: added tokens, other kinds of tokenizers.
"""

import json
import os
from pathlib import Path

from miniclip.bpe import Tokenizer
from miniclip.bpe.tokenizer import END as WORD_END
from miniclip.bpe.tokenizer import byte_alphabet
from miniclip.common import refuse, refusing
from miniclip.data.files import read_text
from miniclip.weights.reading import read_json

START, END = "<|startoftext|>", "<|endoftext|>"
# what every tokenizer.json of CLIP splits words with; from transformers 5 on special tokens come first
SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
SPLITS = [
    [
        dict(type="Split", pattern={"Regex": pattern}, behavior="Removed", invert=True),
        dict(type="ByteLevel", add_prefix_space=False),
    ]
    for pattern in (SPLIT, r"<\|startoftext\|>|<\|endoftext\|>|" + SPLIT)
]
LOWERCASE = {"type": "Lowercase"}
NORMALIZERS = [
    LOWERCASE,
    {"type": "NFC"},
    {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
]


def read_tokenizer(folder: Path, context_length: int) -> Tokenizer | None:
    """The Tokenizer in a folder, or None where there is none. UserError for one that is damaged or of
    another kind than CLIP's."""
    files = [folder / name for name in ("tokenizer.json", "vocab.json", "merges.txt")]
    if not any(map(os.path.lexists, files)):
        return None
    path = files[0] if files[0].is_file() else files[1]
    with refusing(f"{path} holds no tokenizer of CLIP's kind"):
        if path == files[0]:
            vocabulary, merges = _from_tokenizer_json(read_json(path))
        else:
            vocabulary = read_json(path)
            lines = read_text(files[2]).replace("\r\n", "\n").split("\n")
            merges = [line for line in lines if line and not line.startswith("#version")]
            refuse({"it has added tokens": (folder / "added_tokens.json").is_file()})
        pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in merges]
        tokenizer = Tokenizer([(vocabulary[a], vocabulary[b]) for a, b in pairs], context_length)
        entries = _entries(tokenizer)
        odd = min(vocabulary.keys() ^ set(entries), default="the order")
        refuse(
            {
                f"its entries are not bytes, merges, start and end ({odd[:40]!r})": (
                    vocabulary != {name: i for i, name in enumerate(entries)}
                )
            }
        )
    return tokenizer


def tokenizer_files(tokenizer: Tokenizer, context_length: int) -> dict[str, str]:
    """The files that transformers' CLIPTokenizer reads: {name: text}."""
    entries = _entries(tokenizer)
    vocabulary = {name: i for i, name in enumerate(entries)}
    merges = (f"{entries[left]} {entries[right]}\n" for left, right in tokenizer.merges)
    settings = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": context_length,
        "bos_token": START,
        "eos_token": END,
        "pad_token": END,
        "unk_token": END,
    }
    return {
        "vocab.json": json.dumps(vocabulary, indent=2) + "\n",
        "merges.txt": "#version: 0.2\n" + "".join(merges),
        "tokenizer_config.json": json.dumps(settings, indent=2) + "\n",
    }


def _from_tokenizer_json(whole):
    """tokenizer.json -> ({entry: id}, merges)."""
    model = whole["model"]
    odd = any(model.get(key) for key in ("dropout", "continuing_subword_prefix", "ignore_merges"))
    ends = model.get("type", "BPE"), model.get("end_of_word_suffix")
    normalizers = _steps(whole, "normalizer")
    known = LOWERCASE in normalizers and all(step in NORMALIZERS for step in normalizers)
    added = {token["content"]: token["id"] for token in whole.get("added_tokens", [])}
    vocabulary, rows = model["vocab"] | added, whole.get("post_processor") or {}
    refuse(
        {
            "its model is no byte-pair encoding with word ends alone": odd
            or ends != ("BPE", "</w>"),
            "it splits words or treats upper case in another way": (
                not known or _steps(whole, "pre_tokenizer") not in SPLITS
            ),
            "the rows of ids that it makes do not have the start and the end token at their ends": any(
                key in rows and rows[key] != [name, vocabulary[name]]
                for key, name in (("cls", START), ("sep", END))
            ),
        }
    )
    return vocabulary, model["merges"]


def _steps(whole, part):
    """The steps of a part of tokenizer.json, in a list, without what changes no ids."""
    part, several = whole.get(part) or {}, part.replace("_", "") + "s"
    return [
        {key: value for key, value in step.items() if key not in ("trim_offsets", "use_regex")}
        for step in part.get(several, [part])
    ]


def _entries(tokenizer):
    """The entries as the files write them, in the order of their ids."""
    alphabet = byte_alphabet()
    words = (
        "".join(alphabet[byte] for byte in piece.removesuffix(WORD_END))
        + "</w>" * piece.endswith(WORD_END)
        for piece in tokenizer.pieces
    )
    return [*words, START, END]
