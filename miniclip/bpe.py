"""Byte-level BPE: text to ids and back (Sennrich et al. 2016; CLIP, section 2.4).

A vocabulary starts as the 256 bytes, so no text is unknown, and again as the 256 bytes that end a
word. Training joins the most frequent pair of neighbours into a new entry, again and again; encoding
replays those merges on a word, earliest first. The ids are, in this order,

    256 bytes | 256 bytes + end of word | one for every merge | start | end

Here an entry is its bytes, and the end of a word is the byte FF, which UTF-8 never contains.
`segment` is the encoder to read, tiktoken the one that runs (`_fast_encoder` says why they agree).
Left out: dropout of merges, and vocabularies that split text into other words than CLIP's.
"""

import heapq
import json
import math
import os
from collections import Counter, defaultdict
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from miniclip.clean import clean, split_words

__all__ = ["Tokenizer", "byte_alphabet", "clean", "learn_merges", "merge", "segment"]

END = 0xFF  # ends a word; UTF-8 never contains it
FORMAT = "miniclip byte-pair vocabulary 1"
MERGES_FILE = "bpe_simple_vocab_16e6.txt.gz"
RELEASED_MERGES = 49408 - 2 * 256 - 2


def byte_alphabet():
    """One visible character for each byte, in the order of CLIP's ids. -> dict int -> str, 256 long.

    The 188 printable characters of Latin-1 stand for themselves and come first (so id 0 is "!");
    the other 68 bytes follow in order and become U+0100, U+0101, ... Merges files are spelt so.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    names = {byte: chr(byte) for byte in printable}
    return names | {byte: chr(256 + i) for i, byte in enumerate(others)}


def merge(symbols, pair, new):
    """Replace every occurrence of a pair of neighbours, from left to right.

    symbols: list of ids; pair: (left, right); new: the id that takes their place. -> new list
    """
    out, i = [], 0
    while i < len(symbols):
        found = tuple(symbols[i : i + 2]) == pair
        out.append(new if found else symbols[i])
        i += 2 if found else 1
    return out


def segment(symbols, merges):
    """Encode one word: replay the merges on it, the earliest learned first, until none applies.

    symbols: list of ids; merges: dict (left, right) -> id, a smaller id learned earlier. -> list
    """
    while len(symbols) > 1:
        pair = min(zip(symbols, symbols[1:]), key=lambda pair: merges.get(pair, math.inf))
        if pair not in merges:
            break
        symbols = merge(symbols, pair, merges[pair])
    return symbols


def learn_merges(words, n, first):
    """Train: n times, join the pair that occurs most often into a new id: first, first + 1, ...

    words: dict tuple of ids -> how often the word occurs. Ties go to the smallest pair, so the
    order of the words is of no consequence. Ends early when no pair occurs twice: what occurs once
    teaches nothing. -> dict (left, right) -> id, in the order learned
    """
    words = [(list(symbols), count) for symbols, count in sorted(words.items())]
    counts, where = Counter(), defaultdict(set)  # pair -> occurrences; pair -> indices of words
    for index, (symbols, count) in enumerate(words):
        for pair in zip(symbols, symbols[1:]):
            counts[pair] += count
            where[pair].add(index)
    # counting everything again after each merge would take minutes: only the words that hold the
    # pair are counted again, and a heap keeps the order; its outdated entries are skipped
    heap = [(-count, pair) for pair, count in counts.items()]
    heapq.heapify(heap)
    merges = {}
    while heap and len(merges) < n:
        count, pair = heapq.heappop(heap)
        if -count != counts[pair] or count > -2:
            continue
        merges[pair] = new = first + len(merges)
        changed = set()
        for index in where.pop(pair):
            symbols, count = words[index]
            merged = merge(symbols, pair, new)
            for old in zip(symbols, symbols[1:]):
                counts[old] -= count
                changed.add(old)
            for old in zip(merged, merged[1:]):
                counts[old] += count
                changed.add(old)
                where[old].add(index)
            words[index] = merged, count
        for pair in changed:
            heapq.heappush(heap, (-counts[pair], pair))
    return merges


class Tokenizer:
    """Text to ids for the text tower. Tokenizer.train(texts, vocab_size), .openai(), .load(path).

    merges: list of (left, right) ids in the order learned. context_length: ids in a row of the
    tensor, start and end included. Raises ValueError when the merges are no vocabulary.
    `start` and `end` are the ids around every text; padding is 0, harmless as attention is causal.
    """

    def __init__(self, merges, context_length=77):
        self.context_length = _checked_length(context_length)
        alphabet = byte_alphabet()
        self.pieces = [bytes([b]) for b in alphabet] + [bytes([b, END]) for b in alphabet]
        self._id_of_byte = {byte: i for i, byte in enumerate(alphabet)}
        self.merges = {}
        for left, right in merges:
            new = len(self.pieces)
            if not (0 <= left < new and 0 <= right < new) or self.pieces[left][-1] == END:
                raise ValueError(f"merge {len(self.merges)} joins what no earlier merge has made")
            self.merges[left, right] = new
            self.pieces.append(self.pieces[left] + self.pieces[right])
        if len(set(self.pieces)) < len(self.pieces):
            raise ValueError("two merges make the same entry, so these merges are no vocabulary")
        self.start, self.end = len(self.pieces), len(self.pieces) + 1
        self.vocab_size = self.end + 1
        self._ids_of_chunk = _Cache(self._encode_chunk)

    @classmethod
    def train(cls, texts, vocab_size, context_length=77):
        """Learn a vocabulary of at most `vocab_size` ids from an iterable of str."""
        if isinstance(texts, str):
            raise ValueError("texts must be a list of strings, not one string")
        if not isinstance(vocab_size, int) or vocab_size < 2 * 256 + 2:
            raise ValueError(f"vocab_size must be a whole number from 514 up, not {vocab_size!r}")
        counts = Counter()
        for text in texts:
            counts.update(split_words(clean(text)))
        blank = cls([])
        words = {tuple(blank._symbols(word)): count for word, count in counts.items()}
        return cls(learn_merges(words, vocab_size - blank.vocab_size, blank.start), context_length)

    def _symbols(self, word):
        """str -> ids before any merge: its bytes, the last one marked as the end of the word."""
        ids = [self._id_of_byte[byte] for byte in word.encode()]
        return [*ids[:-1], ids[-1] + 256]

    def _encode_chunk(self, chunk):
        """Cleaned text without white space -> ids."""
        return [i for word in split_words(chunk) for i in segment(self._symbols(word), self.merges)]

    def encode(self, text):
        """str -> list of ids, without start and end. What looks like a special token is text."""
        # words never cross white space, so whatever stands between two spaces is looked up whole
        return list(chain.from_iterable(map(self._ids_of_chunk.__getitem__, clean(text).split())))

    def decode(self, ids):
        """Ids (a list or a tensor row) -> str, a space after every word; reads until `end`."""
        out = bytearray()
        for i in map(int, ids):
            if i == self.end:
                break
            if not 0 <= i < self.vocab_size:
                raise ValueError(f"{i} is not an id of this vocabulary of {self.vocab_size}")
            if i != self.start:
                out += self.pieces[i]
        return bytes(out).replace(b"\xff", b" ").decode(errors="replace").strip()

    def __call__(self, texts, context_length=None, trim=False, truncate=True):
        """A str or a list of N str -> (N, L) int64: start, the text, end, zeros.

        L is `context_length` (None: the tokenizer's own), or with trim=True the longest text's.
        Longer text is cut and keeps its end; truncate=False raises ValueError instead.
        """
        limit = self.context_length if context_length is None else _checked_length(context_length)
        rows = [self.encode(text) for text in ([texts] if isinstance(texts, str) else texts)]
        if not truncate:
            for text, row in enumerate(rows):
                if len(row) > limit - 2:
                    raise ValueError(
                        f"text {text} has {len(row) + 2} tokens, the context has {limit}"
                    )
        rows = [[self.start, *row[: limit - 2], self.end] for row in rows]
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        width = int(lengths.max(initial=2)) if trim else limit
        out = np.zeros((len(rows), width), dtype=np.int64)
        out[np.arange(width) < lengths[:, None]] = list(chain.from_iterable(rows))
        return torch.from_numpy(out)

    def state(self):
        """The vocabulary as a dict of plain values, for a checkpoint; `from_state` is its inverse."""
        names = byte_alphabet()

        def spell(i):
            word = self.pieces[i]
            name = "".join(names[byte] for byte in word.removesuffix(b"\xff"))
            return name + "</w>" if word[-1] == END else name

        merges = [f"{spell(left)} {spell(right)}" for left, right in self.merges]
        return {"format": FORMAT, "context_length": self.context_length, "merges": merges}

    @classmethod
    def from_state(cls, state):
        """The tokenizer whose `state()` this is. ValueError for anything else."""
        if not isinstance(state, dict) or state.get("format") != FORMAT:
            raise ValueError("this is no vocabulary of miniclip's; Tokenizer.save writes one")
        return cls(_read_merges(state["merges"]), state["context_length"])

    def save(self, path):
        """Write the vocabulary as JSON: the old file or the new one is there, never half of one."""
        part = Path(f"{path}.{os.getpid()}.part")
        part.write_text(json.dumps(self.state(), indent=0, ensure_ascii=False), encoding="utf-8")
        os.replace(part, path)

    @classmethod
    def load(cls, path):
        """Read what `save` wrote. ValueError when it is missing, truncated or something else."""
        try:
            return cls.from_state(json.loads(Path(path).read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise ValueError(f"{path} is no vocabulary: {error}") from None


class _Cache(dict):
    """dict that computes what is missing, and starts afresh before it fills the memory."""

    def __init__(self, compute, limit=1 << 17):
        self.compute, self.limit = compute, limit

    def __missing__(self, key):
        if len(self) >= self.limit:
            self.clear()
        value = self[key] = self.compute(key)
        return value


def _checked_length(context_length):
    if not isinstance(context_length, int) or context_length < 2:
        raise ValueError(
            f"context_length must be a whole number from 2 up (start and end), not {context_length!r}"
        )
    return context_length


def _read_merges(lines):
    """["t h", "th e</w>", ...] -> list of (left, right) ids."""
    alphabet = byte_alphabet()
    ids = {name: i for i, name in enumerate(alphabet.values())}
    ids |= {name + "</w>": i + 256 for name, i in ids.items()}
    merges = []
    for line in lines:
        left, _, right = line.partition(" ")
        if left not in ids or right not in ids:
            raise ValueError(f"merge {len(merges)}, {line!r}, joins what no earlier merge has made")
        merges.append((ids[left], ids[right]))
        ids[left + right] = len(ids)
    return merges
