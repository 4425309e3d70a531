"""The average of a fine-tuned model and the one it was tuned from (WiSE-FT: Wortsman et al. 2022).

Fine-tuning wins on its own pairs and loses elsewhere. The weights between the two ends of a run are a
model as well, of the same cost, and often keep most of both. The running means and variances of batch
norms are averaged as the weights are. Left out: computing them again from pictures, which a model
without batch norm does not need; averages of more than two models.
Lesson: lessons/19_finetuning.md.
"""

import torch

from miniclip.common import check_output, refuse
from miniclip.objectives import PLAIN
from miniclip.training import checkpoint
from miniclip.weights import reading


def interpolate(start, tuned, alpha):
    """The state dict (1 - alpha) * start + alpha * tuned of two of the same names and shapes.

    alpha from 0, exactly start, to 1, exactly tuned. Numbers on which the two agree stay exactly as
    they are, for any alpha (a frozen tower). Whole numbers, which count batches, are not averaged:
    they are those of the nearer one, tuned at 0.5. Neither argument is changed. Raises UserError for
    another alpha.
    """
    refuse({f"alpha must be from 0 to 1, not {alpha}": not 0 <= alpha <= 1})
    return {
        name: torch.lerp(first, tuned[name], alpha)
        if first.is_floating_point()
        else (first if alpha < 0.5 else tuned[name]).clone()
        for name, first in start.items()
    }


def check_alike(names: tuple[str, str], configs: tuple[dict, dict]) -> None:
    """Raise UserError unless two models, called `names`, have the same shapes and vocabulary."""
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

    names: of the two models, from start to tuned; state: what interpolate gave; model, tokenizer:
    the tuned ones, for config and vocabulary; run: the tuned checkpoint, whose options are kept so
    that eval.py finds its pairs, or {} for weights from elsewhere; overwrite: replace a file that
    miniclip did not write.
    """
    check_output(path, reading.by_miniclip, overwrite)
    kept = {name: run[name] for name in ("options", "pairs", "packages") if name in run}
    whole = dict(
        config=model.config,
        tokenizer=tokenizer.state(),
        model=state,
        average=dict(start=names[0], tuned=names[1], alpha=alpha),
    )
    checkpoint.save(path, dict(options={}) | kept | whole)
