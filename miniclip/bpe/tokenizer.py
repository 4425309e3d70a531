"""Byte-level BPE: text to ids and back (Sennrich et al. 2016; CLIP, section 2.4).

A word is its bytes, so every text can be encoded. The last byte of a word has another id than the
same byte inside a word. merges.py learns which neighbours to join and joins them. The ids are, in
this order,

    256 bytes | 256 bytes + end of word | one for every merge | start | end

An entry is kept as its bytes, and the end of a word as the byte FF, which UTF-8 never contains.
merges.segment is the readable encoder. tiktoken encodes faster, and `_tiktoken` says why its ids
are equal.

open_clip's tokenizer gives the same ids, with one exception. If a caption contains
"<start_of_text>" or "<end_of_text>", in any case or with a long s, open_clip reads it as its start
or end token, or as one word. Here it is text like any other.
Left out: dropout of merges, and vocabularies that split text into other words than CLIP's.
Lesson: lessons/02_bpe.md.
"""

import contextlib
import gzip
import hashlib
import json
import operator
import zlib
from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from itertools import chain, takewhile
from pathlib import Path

import numpy as np
import torch

from miniclip.bpe.cleaning import clean, split_words
from miniclip.bpe.merges import learn_merges, segment
from miniclip.common import (
    ALSO,
    UserError,
    check_list,
    check_output,
    checked,
    odd_file,
    refuse,
    refusing,
    replacing,
)

END = b"\xff"  # ends a word; UTF-8 never contains it
FORMAT = "miniclip byte-pair vocabulary"
MERGES_FILE = Path(__file__).with_name("openai_merges.txt.gz")  # see OPENAI-LICENSE.txt
LONGEST_WORD = 127  # characters; training cuts longer words into parts
LONGEST = 512  # bytes of an entry; the longest word in UTF-8 and its end fit
MOST = 1 << 20  # entries of a vocabulary
LARGEST_FILE = 32 << 20  # bytes; MOST entries take 20 MB
KEPT = 1 << 17  # pieces of text whose ids a tokenizer remembers
SLOW = 1 << 28  # if the entries' squared lengths add up to more, tiktoken is not used
RELEASED_MERGES = 49408 - 2 * 256 - 2
# SHA-256 of the released merges as JSON; a test computes it from open_clip's merges file
RELEASED_SHA256 = "5f18cb6b835103478b836491ea76999ba2c4fec655f284974851535078710790"


def byte_alphabet() -> dict[int, str]:
    """One visible character for each byte, in the order of CLIP's ids. -> dict of 256 int -> str.

    The 188 printable characters of Latin-1 stand for themselves and come first (so id 0 is "!");
    the other 68 bytes follow in order and become U+0100, U+0101, ... Merges files are written in
    these characters.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {
        byte: chr(256 + i) for i, byte in enumerate(others)
    }


class Tokenizer:
    """Text to ids for the text tower. Tokenizer.train, .openai and .load make one.

    - merges: iterable of (left, right) ids, in the order learned.
    - context_length: the number of ids in each row of the tensor that a call returns, `start` and
      `end` included. Padding is 0, the id of "!". The padding changes no feature, because the text
      towers do not read what follows `end`.

    pieces[i] are the bytes of id i, and ids[piece] is the id of these bytes. Raises UserError if
    the merges make no vocabulary, for example because two merges make the same entry, or if they
    make more than MOST entries or an entry longer than LONGEST bytes.
    """

    @checked
    def __init__(self, merges: Iterable[tuple[int, int]], context_length: int = 77):
        self.context_length = _length(context_length)
        alphabet = byte_alphabet()
        self.pieces = [bytes([b]) for b in alphabet] + [bytes([b]) + END for b in alphabet]
        self.merges = {}  # (left, right) -> id
        with refusing("merges must be pairs of ids"):
            pairs = [(operator.index(left), operator.index(right)) for left, right in merges]
        for left, right in pairs:
            new = len(self.pieces)
            if not (0 <= left < new and 0 <= right < new) or self.pieces[left].endswith(END):
                raise UserError(f"merge {new - 512} joins entries that cannot stand side by side")
            self.pieces.append(self.pieces[left] + self.pieces[right])
            if len(self.pieces[new]) > LONGEST or new >= MOST:
                raise UserError(f"merge {new - 512} makes the vocabulary too large")
            self.merges[left, right] = new
        self.ids = {piece: i for i, piece in enumerate(self.pieces)}
        refuse(
            {
                "two merges make the same entry, so these merges are no vocabulary": (
                    len(self.ids) < len(self.pieces)
                )
            }
        )
        self.start, self.end = len(self.pieces), len(self.pieces) + 1
        self.vocab_size = self.end + 1
        self._known = {}  # what `encode` has met: cleaned text between two spaces -> its ids

    def __repr__(self):
        return f"Tokenizer({self.vocab_size:,} ids, context_length={self.context_length})"

    @classmethod
    @checked
    def train(cls, texts: Iterable[str], vocab_size: int, context_length: int = 77) -> "Tokenizer":
        """Learn vocab_size entries from an iterable of str. There are fewer if at some point no two
        entries stand side by side more than once. A word of more than 127 characters, such as a
        sentence of a language without spaces, counts as several words of at most 127."""
        refuse(
            {f"vocab_size must be a whole number from 514 up, not {vocab_size}": vocab_size < 514}
        )
        words = (word for text in texts for word in split_words(clean(text)))
        counts = Counter(
            word[start : start + LONGEST_WORD]
            for word in words
            for start in range(0, len(word), LONGEST_WORD)
        )
        blank = cls([])
        words = {tuple(blank._symbols(word.encode() + END)): n for word, n in counts.items()}
        return cls(learn_merges(words, vocab_size - blank.vocab_size, blank.start), context_length)

    @classmethod
    @checked
    def openai(cls, path: str | Path | None = None) -> "Tokenizer":
        """The released vocabulary of 49,408 ids.

        path: its merges file, bpe_simple_vocab_16e6.txt, packed or not. None means the file in the
        package. Raises UserError for another file.
        """
        path = path or MERGES_FILE
        ids = {name: i for i, name in enumerate(byte_alphabet().values())}
        ids |= {name + "</w>": i + 256 for name, i in ids.items()}
        merges = []
        with refusing(f"{path} is no merges file, or it is damaged"):
            # the first line is a version
            for line in _read(path).decode().splitlines()[1 : RELEASED_MERGES + 1]:
                left, _, right = line.partition(" ")
                merges.append((ids[left], ids[right]))
                ids[left + right] = len(ids)
            tokenizer = cls(merges)
        refuse(
            {
                f"{path} holds {len(merges):,} merges, and not the {RELEASED_MERGES:,} released ones "
                "in their order": tokenizer.digest != "openai"
            }
        )
        return tokenizer

    def _symbols(self, piece):
        """Bytes -> ids before any merge; an END belongs to the byte before it."""
        last = -2 if piece.endswith(END) else -1
        return [self.ids[bytes([byte])] for byte in piece[:last]] + [self.ids[piece[last:]]]

    @cached_property
    def _tiktoken(self):
        """tiktoken's merge loop, in Rust, on this vocabulary; None if it would give other ids.

        tiktoken takes a str, so bytes are given to it as Latin-1, where END is "ÿ". A byte with END
        comes before all merges in the vocabulary, so tiktoken joins these two first.

        tiktoken joins the neighbours whose *joined bytes* come first in the vocabulary. `segment`
        joins the neighbours whose *pair* comes first among the merges. The ids are equal if every
        entry, encoded alone, gives its own id. To see why, suppose that it is the turn of entry k,
        and that its bytes lie between two boundaries. No earlier merge has crossed these
        boundaries, so the bytes between them have been merged as they would be alone. So they are
        now the pair that makes k.

        Vocabularies that were learned have this property, but others need not. With the merges
        (b c), (a b), (ab c), `segment` turns the word "abc" into a and bc, and never into the third
        entry, while tiktoken would join it. Such a vocabulary is encoded by `segment`, whose time
        grows almost with the square of a word's length: 16,000 letters without a space take
        seconds.
        """
        import tiktoken

        if sum(len(piece) ** 2 for piece in self.pieces) > SLOW or any(
            segment(self._symbols(self.pieces[i]), self.merges) != [i] for i in self.merges.values()
        ):
            return None
        ranks = {piece.decode("latin-1").encode(): i for i, piece in enumerate(self.pieces)}
        return tiktoken.Encoding("clip", pat_str="[^ÿ]+ÿ", mergeable_ranks=ranks, special_tokens={})

    def _encode_chunk(self, chunk):
        """Cleaned text without white space -> ids, which are remembered unless the text is long."""
        words = [word.encode() + END for word in split_words(chunk)]
        if self._tiktoken:
            ids = self._tiktoken.encode_ordinary(b"".join(words).decode("latin-1"))
        else:
            ids = [i for word in words for i in segment(self._symbols(word), self.merges)]
        if len(chunk) < 64 and len(self._known) < KEPT:
            self._known[chunk] = tuple(ids)  # the garbage collector does not walk tuples of int
        return ids

    def encode(self, text: str) -> list[int]:
        """str -> list of ids, without start and end. Special tokens' names are encoded as text."""
        ids = []
        # words never cross white space, so the text between two spaces is looked up whole
        for chunk in clean(text).split():
            ids += self._known.get(chunk) or self._encode_chunk(chunk)
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """Ids (a list, or a row of the tensor) -> str, with a space between words.

        Ids from the first `end` on are not read. Raises ValueError for a number that is not an id,
        and TypeError if `ids` is not a row of whole numbers.
        """
        is_row = getattr(ids, "ndim", 1) == 1 and not isinstance(ids, (str, bytes))
        refuse({"ids must be one row of numbers, such as ids[0]": not is_row}, TypeError)
        ids = list(takewhile(lambda i: i != self.end, map(operator.index, ids)))
        refuse({f"ids are 0 to {self.end}, so {i} is none": not 0 <= i < self.end for i in ids})
        text = b"".join(self.pieces[i] for i in ids if i != self.start)
        return text.replace(END, b" ").decode(errors="replace").strip()

    @checked
    def __call__(
        self,
        texts: str | Iterable[str],
        context_length: int | None = None,
        trim: bool = False,
        truncate: bool = True,
    ) -> torch.Tensor:
        """A str or a list of N str -> (N, L) int64: start, the text, end, zeros.

        L is `context_length`, and None means the tokenizer's own. With trim=True, L is the length
        of the longest row instead. A text that is too long loses its tail, but its last id is still
        `end`. With truncate=False, such a text raises UserError. So does a set or a dict, because
        the rows need an order.
        """
        limit = _length(self.context_length if context_length is None else context_length)
        check_list("texts", texts)
        texts = [texts] if isinstance(texts, str) else list(texts)
        rows = [self.encode(text) for text in texts]
        refuse(
            {
                f"the text {text[:80]!r} takes {len(row) + 2} ids, and the context holds "
                f"only {limit}; make it shorter": True
                for text, row in zip(texts, rows)
                if len(row) + 2 > limit and not truncate
            }
        )
        rows = [[self.start, *row[: limit - 2], self.end] for row in rows]
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        out = np.zeros((len(rows), lengths.max(initial=2) if trim else limit), dtype=np.int64)
        out[np.arange(out.shape[1]) < lengths[:, None]] = list(chain.from_iterable(rows))
        return torch.from_numpy(out)

    @cached_property
    def digest(self) -> str:
        """Which vocabulary this is: "openai" for the released one, otherwise the SHA-256 of its
        merges as JSON, in hex. It does not depend on context_length, because the ids do not."""
        sha256 = hashlib.sha256(json.dumps(list(self.merges)).encode()).hexdigest()
        return "openai" if sha256 == RELEASED_SHA256 else sha256

    def state(self) -> dict:
        """The vocabulary as a dict of plain values, for a checkpoint; `from_state` inverts it."""
        return {
            "format": FORMAT,
            "context_length": self.context_length,
            "merges": [list(pair) for pair in self.merges],
            "digest": self.digest,
            "crc32": zlib.crc32(f"{self.digest} {self.context_length}".encode()),
        }

    @classmethod
    def from_state(cls, state: dict) -> "Tokenizer":
        """The tokenizer whose `state()` this is. Raises UserError for anything else.

        Older states have no digest or no crc32, and are read as well.
        """
        refuse(
            {
                f"this is not a {FORMAT}, as Tokenizer.save writes it": (
                    not isinstance(state, dict) or state.get("format") != FORMAT
                )
            }
        )
        with refusing(f"the {FORMAT} is damaged"):
            tokenizer = cls(state["merges"], state["context_length"])
            own = tokenizer.state()
            refuse({"a part of it was changed after it was written": own != own | state})
        return tokenizer

    @checked
    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """Write `state()` as JSON, atomically. Raises UserError if there is a file that `save` did
        not write, or that was changed since, and overwrite is False."""
        check_output(path, _is_ours, overwrite)
        with replacing(path) as file:
            file.write((json.dumps(self.state()) + "\n").encode())

    @classmethod
    @checked
    def load(cls, path: str | Path) -> "Tokenizer":
        """Read what `save` wrote. Raises UserError if it is missing, damaged or something else."""
        with refusing(f"{path} holds no vocabulary"):
            return cls.from_state(json.loads(_read(path)))


def _read(path):
    """The first LARGEST_FILE bytes of a file, unpacked if gzip has packed it."""
    refuse(odd_file(path))
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        return (gzip.open(file) if packed else file).read(LARGEST_FILE)


def _is_ours(path):
    """Whether a file holds what `save` writes, and nothing else."""
    with contextlib.suppress(UserError):
        return bool(Tokenizer.load(path))
    return False


def _length(context_length):
    """context_length as an int. Raises UserError unless it has room for start and end."""
    refuse(
        {
            "context_length must be at least 2 (for the start and the end) and at most 65536, "
            f"not {context_length!r}": not (
                isinstance(context_length, ALSO[int]) and 2 <= context_length <= 1 << 16
            )
        }
    )
    return int(context_length)
