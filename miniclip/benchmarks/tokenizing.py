"""Captions per second: our tokenizer beside open_clip's and Hugging Face's.

    python -m miniclip.benchmarks tokenizer

All of them read the released vocabulary on one thread, and their ids must agree. Each round has new
captions, the same for every tokenizer, so caches are warm for common words and cold for rare ones, as
they are in training. The captions are made up from the vocabulary's own words, drawn by Zipf's law
(the k-th most frequent word comes up in proportion to 1/k), with some invented words, numbers and
commas. Left out: libraries that are not installed, and captions of your own.
"""

import os
import random
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import accumulate

from miniclip.benchmarks.timer import compare, take_turns
from miniclip.bpe.tokenizer import END, Tokenizer, byte_alphabet
from miniclip.common import Parser, command, number

Encoder = Callable[[list[str]], list[list[int]]]  # texts -> their ids


def captions(tokenizer: Tokenizer, n: int, seed: int) -> list[str]:
    """n made-up ASCII captions of 4 to 20 words."""
    rng = random.Random(seed)
    words = (piece[:-1] for piece in tokenizer.pieces[512:] if piece.endswith(END))
    words = [word.decode() for word in words if word.isalpha() and len(word) > 1]
    weights = list(accumulate(1 / (k + 10) for k in range(len(words))))
    made = []
    for _ in range(n):
        line = rng.choices(words, cum_weights=weights, k=rng.randint(4, 20))
        if rng.random() < 0.2:  # a name that occurs nowhere else
            line.append("".join(rng.choices(words, k=2)).title())
        if rng.random() < 0.2:
            line.insert(1, str(rng.randint(1, 2030)))
        line[0] = line[0].capitalize() + rng.choice(["", "", ",", "'s", ":"])
        made.append(" ".join(line) + rng.choice(["", "."]))
    return made


def huggingface(tokenizer: Tokenizer) -> Encoder:
    """The `tokenizers` library on the same merges, put together the way CLIP's fast one is."""
    import tokenizers
    from tokenizers import Regex, models, normalizers, pre_tokenizers

    names = list(byte_alphabet().values())
    names += [name + "</w>" for name in names]
    for left, right in tokenizer.merges:
        names.append(names[left] + names[right])
    pairs = [(names[left], names[right]) for left, right in tokenizer.merges]
    vocab = {name: i for i, name in enumerate(names)}
    fast = tokenizers.Tokenizer(models.BPE(vocab=vocab, merges=pairs, end_of_word_suffix="</w>"))
    fast.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    pattern = Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
    fast.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(pattern, behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    # the batch without offsets into the text, which are not needed here, is a little faster
    batch = getattr(fast, "encode_batch_fast", fast.encode_batch)
    return lambda texts: [encoding.ids for encoding in batch(texts)]


def one_by_one(encode: Callable[[str], list[int]]) -> Encoder:
    """An Encoder from a function that encodes one text."""
    return lambda texts: [encode(text) for text in texts]


def encoders() -> dict[str, Encoder]:
    """{name: encoder}, ours first."""
    fast, plain = Tokenizer.openai(), Tokenizer.openai()
    plain.fast = False
    found = {
        "miniclip, tiktoken": one_by_one(fast.encode),
        "miniclip, pure Python": one_by_one(plain.encode),
    }
    with suppress(ImportError):
        from open_clip.tokenizer import SimpleTokenizer

        found["open_clip SimpleTokenizer"] = one_by_one(SimpleTokenizer().encode)
    with suppress(ImportError):
        found["Hugging Face tokenizers"] = huggingface(fast)
    return found


def check(answers: dict[str, list[list[int]]]) -> None:
    """Raise ValueError unless all encoders gave the same ids. answers: {name: lists of ids}."""
    ours = answers["miniclip, tiktoken"]
    for name, theirs in answers.items():
        for mine, ids in zip(ours, theirs):
            if ids != mine:
                raise ValueError(f"{name} gives other ids: {ids}, not {mine}")


@command("python -m miniclip.benchmarks tokenizer")
def main(argv: list[str] | None = None) -> int:
    """The command: a table. Returns the exit code."""
    parser = Parser(prog="python -m miniclip.benchmarks tokenizer", description="Time tokenizers.")
    parser.add_argument(
        "--rounds", type=number(int, low=1, high=10**6), default=7, help="of new captions (7)"
    )
    parser.add_argument(
        "--n", type=number(int, low=1, high=10**8), default=10_000, help="a round (10000)"
    )
    args = parser.parse_args(argv)
    # tokenizers reads these when it is first used
    os.environ.update(RAYON_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")
    tokenizer = Tokenizer.openai()
    texts = [captions(tokenizer, args.n, seed) for seed in range(args.rounds + 1)]
    # each call encodes the next round's captions
    functions = {name: partial(next, map(encode, texts)) for name, encode in encoders().items()}
    # seconds of this process alone, however busy the machine is
    seconds = take_turns(functions, args.rounds, time.process_time, check)
    print(f"{args.n:,} new captions in each of {args.rounds} rounds; one thread; equal ids")
    print(compare("texts", "texts/s", lambda s: args.n / s, [("captions", seconds)]))
    return 0
