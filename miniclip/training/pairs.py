"""The pairs and the vocabulary of a run."""

import numpy as np

from miniclip.bpe import Tokenizer
from miniclip.common import refuse
from miniclip.data import open_divided, source_options
from miniclip.data.dataset import changed_packages
from miniclip.data.icons.icons import of_first_icons
from miniclip.distributed import process_group
from miniclip.distributed.collectives import dist_info
from miniclip.model.clip import MODELS
from miniclip.training import checkpoint

LONGEST = 1000  # characters of a caption from which the vocabulary is learned


def open_run(config, saved=None, start=None):
    """The pairs that a run trains on. saved, start: what train.py's `starting_point` returned.
    Pairs that `start` has learned, and this run does not train on, are not held out either.

    Raises UserError on all ranks if the pairs cannot be read, or are no longer the pairs that the
    run was started with.
    """
    saved = saved or {}
    with process_group.together():
        refuse(
            {
                f"the pictures of {config.out} are gone: this run used thirteen sets of icons that "
                "are no longer read; choose another --out": (
                    of_first_icons(saved.get("packages", {}))
                )
            }
        )
        with process_group.local_rank_first():  # a machine makes the index of shards once
            pairs = open_divided(
                config.data,
                config.keep or config.pairs,
                config.val_data,
                **source_options(vars(config)),
            )
        changed = changed_packages(saved.get("packages", {}), pairs.packages)
        before = saved.get("pairs", len(pairs))  # fewer or more pairs would have another order
        back = f"when {config.out} was started; bring them back, or choose another --out"
        refuse(
            {
                f"{pairs.name} has no pair to train on: no row of its column split says train": (
                    not len(pairs.splits["train"])
                ),
                f"{pairs.name} has one pair to train on, and no other to compare it with; give more": (
                    len(pairs.splits["train"]) == 1 and config.objective.startswith("contrastive")
                ),
                f"{pairs.name} has fewer pairs to train on than there are ranks; start fewer": (
                    len(pairs.splits["train"]) < dist_info()[1]
                ),
                f"the pictures are no longer those that {config.out} was started with: {changed}; "
                "install that version, or choose another --out": changed,
                f"{pairs.name} (or --val-data) has {len(pairs):,} pairs, but {before:,} {back}": (
                    before != len(pairs)
                ),
                f"{pairs.name} (or --keep, or --val-data) has other names, captions or shards, or has "
                f"them in another order, than {back}": (
                    saved.get("pairs_digest", pairs.digest) != pairs.digest
                ),
            }
        )
    checkpoint.hold_back(pairs, [start] if start else [])
    return pairs


def some_captions(pairs, seed):
    """Two captions, the first one and a random one, of each of at most 50,000 training pictures. Of
    a very long caption, the first LONGEST characters: a text tower reads only 77 tokens."""
    rng = np.random.default_rng(seed)
    indices = pairs.splits["train"]
    if len(indices) > 50_000:  # sorted, because shards are read faster in their order
        indices = np.sort(rng.choice(indices, 50_000, replace=False)).tolist()
    both = ((pairs.captions(i)[0], pairs.caption(i, rng)) for i in indices)
    return [caption[:LONGEST] for captions in both for caption in captions]


def make_tokenizer(pairs, config):
    """The released tokenizer (--tokenizer openai), or a tokenizer learned from some captions."""
    tokenizer = (
        Tokenizer.openai()
        if config.tokenizer
        else Tokenizer.train(some_captions(pairs, config.seed), config.vocab_size)
    )
    tokenizer.context_length = MODELS[config.model]["context_length"]
    return tokenizer
