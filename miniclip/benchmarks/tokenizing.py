"""Captions per second: our tokenizer beside open_clip's and Hugging Face's.

    python -m miniclip.benchmarks tokenizer

All of them use the released vocabulary and one thread. In the first round they must give the same
ids. Each round has new captions, which are the same for every tokenizer. So caches are warm for
common words and cold for rare ones, as they are in training. The captions are made of words of the
vocabulary, drawn by Zipf's law (the k-th most frequent word comes up in proportion to 1/k), with
some invented words, numbers and commas. Left out: captions of your own.
"""

import json
import os
import random
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from itertools import accumulate

from miniclip.benchmarks.timer import ROUNDS, compare, take_turns
from miniclip.bpe.tokenizer import END, Tokenizer
from miniclip.common import command, refuse
from miniclip.weights.huggingface import SPLIT, tokenizer_files

CAPTIONS = 10_000  # in a round


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


def huggingface(tokenizer: Tokenizer) -> Callable:
    """The `tokenizers` library with the same merges, set up as transformers' fast one for CLIP."""
    import tokenizers
    from tokenizers import Regex, models, normalizers, pre_tokenizers

    files = tokenizer_files(tokenizer, 77)
    merges = [tuple(line.split(" ")) for line in files["merges.txt"].splitlines()[1:]]
    model = models.BPE(json.loads(files["vocab.json"]), merges, end_of_word_suffix="</w>")
    fast = tokenizers.Tokenizer(model)
    fast.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    fast.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    # encode_batch_fast leaves out offsets into the text, which are not needed here
    return lambda texts: [encoding.ids for encoding in fast.encode_batch_fast(texts)]


@command("python -m miniclip.benchmarks tokenizer", "Time tokenizers.", ROUNDS)
def main(rounds: int) -> None:
    """The command: a table."""
    # tokenizers reads these when it is first used
    os.environ.update(RAYON_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")
    refuse(
        {
            "the comparison needs: pip install open_clip_torch tokenizers": not all(
                map(find_spec, ("open_clip", "tokenizers"))
            )
        }
    )
    from open_clip.tokenizer import SimpleTokenizer

    ours, theirs = Tokenizer.openai(), SimpleTokenizer()
    encoders = {
        "miniclip, tiktoken": lambda texts: [ours.encode(text) for text in texts],
        "open_clip SimpleTokenizer": lambda texts: [theirs.encode(text) for text in texts],
        "Hugging Face tokenizers": huggingface(ours),
    }
    texts = [captions(ours, CAPTIONS, seed) for seed in range(rounds + 1)]
    first, *others = (encode(texts[0]) for encode in encoders.values())
    refuse({"the tokenizers give other ids than miniclip's": others != [first] * len(others)})
    # each call encodes the next round's captions
    functions = {name: partial(next, map(encode, texts)) for name, encode in encoders.items()}
    # CPU seconds of this process, however busy the machine is
    seconds = take_turns(functions, rounds, time.process_time)
    print(compare("texts", "texts/s", lambda s: CAPTIONS / s, [("captions", seconds)]))
