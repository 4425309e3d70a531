"""python -m miniclip.bpe --bench: captions per second, ours beside open_clip's and HuggingFace's.

All of them read the released vocabulary on one thread, and their ids must agree. A round gives each
the same new captions in turn, so every cache is warm for common words and cold for rare ones, as
in training. The captions are made up from the vocabulary's own words, drawn by Zipf's law (the k-th
most frequent word comes up in proportion to 1/k), with some invented words, numbers and commas;
--captions reads yours instead. Whoever is not installed is left out.
"""

import argparse
import gc
import os
import random
import statistics
import sys
import time
from itertools import accumulate
from pathlib import Path

from miniclip.bpe.cleaning import is_plain
from miniclip.bpe.tokenizer import END, Tokenizer, byte_alphabet
from miniclip.common import UserError


def captions(tokenizer, n, seed):
    """-> n made-up ASCII captions of 4 to 20 words."""
    rng = random.Random(seed)
    words = (piece[:-1] for piece in tokenizer.pieces[512:] if piece.endswith(END))
    words = [word.decode() for word in words if word.isalpha() and len(word) > 1]
    weights = list(accumulate(1 / (k + 10) for k in range(len(words))))
    made = []
    for _ in range(n):
        line = rng.choices(words, cum_weights=weights, k=rng.randint(4, 20))
        if rng.random() < 0.2:  # a name nobody has seen
            line.append("".join(rng.choices(words, k=2)).title())
        if rng.random() < 0.2:
            line.insert(1, str(rng.randint(1, 2030)))
        line[0] = line[0].capitalize() + rng.choice(["", "", ",", "'s", ":"])
        made.append(" ".join(line) + rng.choice(["", "."]))
    return made


def huggingface(tokenizer):
    """The `tokenizers` library on the same merges, put together the way CLIP's fast one is."""
    import tokenizers
    from tokenizers import Regex, models, normalizers, pre_tokenizers

    names = list(byte_alphabet().values())
    names += [name + "</w>" for name in names]
    pairs = []
    for left, right in tokenizer.merges:
        pairs.append((names[left], names[right]))
        names.append(names[left] + names[right])
    model = models.BPE(
        vocab={name: i for i, name in enumerate(names)}, merges=pairs, end_of_word_suffix="</w>"
    )
    fast = tokenizers.Tokenizer(model)
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
    # the batch without offsets into the text, which nobody asks for here, is a little faster
    batch = getattr(fast, "encode_batch_fast", fast.encode_batch)
    return lambda texts: [encoding.ids for encoding in batch(texts)]


def contenders():
    """-> dict name -> function from a list of str to a list of lists of ids."""
    fast, plain = Tokenizer.openai(), Tokenizer.openai()
    plain.fast = False
    found = {
        "miniclip, tiktoken": lambda texts: [fast.encode(text) for text in texts],
        "miniclip, pure Python": lambda texts: [plain.encode(text) for text in texts],
    }
    try:
        from open_clip.tokenizer import SimpleTokenizer
    except ImportError:
        pass
    else:
        theirs = SimpleTokenizer()
        found["open_clip SimpleTokenizer"] = lambda texts: [theirs.encode(text) for text in texts]
    try:
        found["HuggingFace tokenizers"] = huggingface(fast)
    except ImportError:
        pass
    return found


def measure(texts_of_round, rounds):
    """Time all contenders on `rounds` lists of texts. -> dict name -> list of captions per second."""
    found = contenders()
    speed = {name: [] for name in found}
    for number in range(rounds + 1):  # the first round fills the caches and is not counted
        texts = texts_of_round(number)
        answers = {}
        for name, encode in found.items():
            gc.collect()
            gc.disable()  # as timeit does: whose turn it is when a collection is due is chance
            start = time.process_time()  # of this process alone, however busy the machine is
            answers[name] = encode(texts)
            seconds = time.process_time() - start
            gc.enable()
            if number:
                speed[name].append(len(texts) / seconds)
        for name, answer in answers.items():
            for text, ids, ours in zip(texts, answer, answers["miniclip, tiktoken"]):
                if ids != ours:
                    raise SystemExit(f"{name} gives other ids for {text!r}: {ids}, not {ours}")
    return speed


def main(argv=None):
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m miniclip.bpe.tokenizer", description=__doc__)
    parser.add_argument("--bench", action="store_true", required=True, help="time the tokenizers")
    parser.add_argument("--rounds", type=int, default=7, help="new captions each (default 7)")
    parser.add_argument("--n", type=int, default=10_000, help="captions a round (default 10000)")
    parser.add_argument("--captions", help="a text file, one a line; plain ASCII lines are used")
    args = parser.parse_args(argv)
    # tokenizers reads these when it is first used
    os.environ.update(RAYON_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")

    try:
        tokenizer = Tokenizer.openai()
        lines = args.captions and Path(args.captions).read_text().splitlines()
    except (OSError, UserError) as error:
        sys.exit(f"python -m miniclip.bpe.tokenizer: error: {error}")
    if lines:
        lines = [line for line in lines if is_plain(line)]
        speed = measure(lambda k: random.Random(k).choices(lines, k=args.n), args.rounds)
    else:
        speed = measure(lambda k: captions(tokenizer, args.n, seed=k), args.rounds)
    ours = speed["miniclip, tiktoken"]
    print(f"captions: {args.n:,} new ones in each of {args.rounds} rounds; one thread; equal ids")
    print("tokenizer                  | captions/s (median) | miniclip is faster by (min to max)")
    for name, theirs in speed.items():
        ratios = [a / b for a, b in zip(ours, theirs)]
        print(
            f"{name:26} | {statistics.median(theirs):19,.0f} | "
            f"{statistics.median(ratios):.1f} times ({min(ratios):.1f} to {max(ratios):.1f})"
        )
