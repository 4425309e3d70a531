"""How many labelled pictures a name is worth, on families of icons (CLIP, section 3.1.5; figure 6).

A labelled picture is a training picture with its names. A test picture gets the names of the labelled
picture nearest to it, in the model's features or in raw pixels. Zero-shot answers the same pictures
from the names alone. The classes are the names of a family that FEWEST training pictures or more have,
the same at each number of labels.
"""

from collections import Counter
from statistics import fmean

import torch

from miniclip.common import refuse
from miniclip.evaluation.families import (
    correct,
    ink,
    nearest,
    of_family,
    scores_of,
    with_names,
)

SHOTS, FEWEST = (1, 2, 4, 8), 8


def drawn(own, shots, seed):
    """So many labelled pictures of each name, or all where a name has fewer: their rows, int64; of one
    seed fewer shots are among more. own: (M, names) bool."""
    picture, label = own.nonzero().T  # one row for each picture and name
    order = torch.randperm(len(label), generator=torch.Generator().manual_seed(seed))
    order = order[label[order].argsort(stable=True)]  # the names one after another
    place = torch.arange(len(order)) - torch.searchsorted(label[order], label[order])
    return picture[order[place < shots]].unique()


def by_shots(tests, known, own, right, draws):
    """{number of labels: the accuracy of the nearest labelled picture, the mean of its draws}.

    tests (K, D), known (M, D): unit vectors; own (M, names), right (K, names): bool; draws: {number of
    labels: [rows of the labelled pictures, for each draw]}.
    """
    hits = {
        shots: [(own[rows[nearest(tests, known[rows])[1]]] & right).any(1) for rows in each]
        for shots, each in draws.items()
    }
    return {shots: torch.stack(each).float().mean().item() for shots, each in hits.items()}


def write(context):
    """The section: both neighbours and zero-shot, means over families; EvalContext -> results. Raises
    UserError where no family has such names."""
    report, pairs, train = context.report, context.pairs, context.pairs.splits["train"]
    report.section("Labelled pictures and zero-shot", "section 3.1.5, figure 6")
    counts = Counter(name for i in train for name in pairs.names(i))
    scores = scores_of(context.features, pairs, context.templates)
    encoders = {"in its features": context.features.images, "in raw pixels": ink}
    found = {}
    for family in pairs.tested:
        indices = of_family(pairs, family)
        names = sorted({name for i in indices for name in pairs.names(i) if counts[name] >= FEWEST})
        tests, right = with_names(pairs, indices, names)
        if not tests:
            continue
        known, own = with_names(pairs, train, names)
        draws = {k: [drawn(own, k, seed) for seed in range(context.seeds)] for k in SHOTS}
        draws["all"] = [torch.arange(len(own))]
        found[family] = {
            "n": len(tests),
            "classes": len(names),
            "zero-shot": correct(scores(tests, names), right).float().mean().item(),
        } | {
            name: by_shots(encode(pairs, tests)[0], encode(pairs, known)[0], own, right, draws)
            for name, encode in encoders.items()
        }
    refuse({"no family has a name with enough training pictures": not found})
    zero_shot = fmean(own["zero-shot"] for own in found.values())
    report.table(
        ("labels of each name", *(f"neighbour {name}" for name in encoders), "zero-shot"),
        [
            (
                str(shots),
                *(fmean(own[name][shots] for own in found.values()) for name in encoders),
                zero_shot,
            )
            for shots in draws
        ],
    )
    report.say(
        f"Means over {len(found)} families that are held out. The labels are those of training "
        f"families, and the classes are the names that {FEWEST} training pictures or more have. "
        "Zero-shot has the names alone, and the same classes."
    )
    return found
