"""How many labelled pictures a name is worth, on families of icons (CLIP, section 3.1.5; figure 6).

A labelled picture is a training picture with its names. A test picture gets the names of the labelled
picture nearest to it, in the model's features or in raw pixels. Zero-shot classifies the same test
pictures from the names alone. The classes are the names of a family that at least FEWEST training
pictures have; they stay the same whatever the number of labels.
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
    """Draw `shots` labelled pictures of each name, or all if a name has fewer: their rows, int64.
    With the same seed, the pictures of a small draw are also in every larger draw. own: (M, names)
    bool, which names each labelled picture has."""
    picture, label = own.nonzero().T  # one row for each picture and name
    order = torch.randperm(len(label), generator=torch.Generator().manual_seed(seed))
    order = order[label[order].argsort(stable=True)]  # the pictures of name 0, of name 1, ...
    place = torch.arange(len(order)) - torch.searchsorted(label[order], label[order])
    return picture[order[place < shots]].unique()


def by_shots(tests, known, own, right, draws):
    """How often the nearest labelled picture has a right name: {number of labels: mean accuracy of
    its draws}.

    tests (K, D), known (M, D): unit vectors of the test pictures and of the labelled pictures;
    right (K, names), own (M, names): bool, which names each test picture and each labelled picture
    has; draws: {number of labels: a list with the rows of the labelled pictures in each draw}.
    """
    hits = {
        shots: [(own[rows[nearest(tests, known[rows])[1]]] & right).any(1) for rows in each]
        for shots, each in draws.items()
    }
    return {shots: torch.stack(each).float().mean().item() for shots, each in hits.items()}


def write(context):
    """The section: the nearest neighbour in features and in raw pixels against zero-shot, as means
    over families. Raises UserError if no family has a name with enough training pictures."""
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
        f"Means over {len(found)} families that are held out. The labelled pictures are of "
        f"training families, and the classes are the names that {FEWEST} training pictures or more "
        "have. Zero-shot chooses among the same classes, from their names alone."
    )
    return found
