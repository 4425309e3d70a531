"""The average of a fine-tuned model and the one it was tuned from (WiSE-FT: Wortsman et al. 2022).

Fine-tuning gains accuracy on its own pairs and loses accuracy elsewhere. A weighted average of the
weights before and after is a model as well, costs the same to run, and often keeps most of both
accuracies. The running means and variances of batch norms are averaged like weights. Left out:
computing these statistics again from pictures, and averages of more than two models.
Lesson: lessons/19_finetuning.md.
"""

import torch

from miniclip.common import check_new, check_output, checked, refuse
from miniclip.objectives import PLAIN
from miniclip.training import checkpoint
from miniclip.weights import reading


@checked
def interpolate(start: dict, tuned: dict, alpha: float) -> dict:
    """The state dict (1 - alpha) * start + alpha * tuned.

    start, tuned: state dicts with the same names and shapes. They are not changed. alpha: 0 gives
    exactly start, and 1 exactly tuned.

    A number that is the same in start and in tuned, as all numbers of a frozen tower are, is
    exactly this number in the average too, for any alpha. Whole numbers, which count batches, are
    not averaged: if alpha is below 0.5 they are taken from start, and otherwise from tuned. Raises
    UserError if alpha is not from 0 to 1.
    """
    kinds = [
        {k: (getattr(x, "shape", None), getattr(x, "dtype", None)) for k, x in state.items()}
        for state in (start, tuned)
    ]
    refuse(
        {
            "start and tuned must be state dicts, {name: tensor}": not (
                checkpoint.are_weights(start) and checkpoint.are_weights(tuned)
            ),
            "8 bits and complex numbers cannot be averaged; convert the weights to float32": any(
                kind in str(kinds) for kind in ("torch.float8", "torch.complex")
            ),
            f"alpha must be from 0 to 1, not {alpha}": not 0 <= alpha <= 1,
            "start and tuned must have the same names, shapes and dtypes": kinds[0] != kinds[1],
        }
    )
    return {
        name: torch.lerp(first, tuned[name], alpha)
        if first.is_floating_point()
        else (first if alpha < 0.5 else tuned[name]).clone()
        for name, first in start.items()
    }


def check_alike(names: tuple[str, str], configs: tuple[dict, dict]) -> None:
    """Raise UserError unless the models called `names` have the same shapes and vocabulary."""
    first, second = (PLAIN | config for config in configs)
    pairs = {key: (first[key], second.get(key)) for key in sorted(first)}
    refuse(
        {
            f"{names[0]} and {names[1]} cannot be averaged: their {key} is {a} and {b}": (
                a != b
                and key not in ("name", "checkpointing")
                and not (key == "tokenizer" and None in (a, b))
            )
            for key, (a, b) in pairs.items()
        }
    )


def save_average(path, alpha, names, state, model, tokenizer, run, overwrite=False):
    """Write the average as a checkpoint without optimizer, which `load` and eval.py read.

    - names: the names of the two models, start first.
    - state: what interpolate returned.
    - model, tokenizer: the fine-tuned ones, for the config and the vocabulary.
    - run: the fine-tuned checkpoint, or {} if no run of miniclip made the weights. The run's
      options, the digest of its pairs and their hashes are kept, so that eval.py finds the pairs,
      and recognizes them if they were moved or have changed.
    - overwrite: replace a file that exists. The checkpoint of a run is never replaced.
    """
    check_output(path, reading.by_miniclip, overwrite)
    check_new(path, overwrite)  # best.pt of a run may be the only copy
    refuse(
        {
            f"{name} of the average would be infinite; choose weights that are alike": (
                not x.isfinite().all()
            )
            for name, x in state.items()
        }
    )
    kept = {
        name: run[name]
        for name in ("options", "pairs", "packages", "pairs_digest", "learned")
        if name in run
    }
    whole = dict(
        config=model.config,
        tokenizer=tokenizer.state(),
        model=state,
        average=dict(start=names[0], tuned=names[1], alpha=alpha),
    )
    checkpoint.save(path, dict(options={}) | kept | whole)
