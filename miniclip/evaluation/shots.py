"""How many labelled pictures a name is worth, on families of icons (CLIP, section 3.1.5; figure 6).

A labelled picture is a training picture with its names. A test picture gets the names of the labelled
picture nearest to it, in the model's features or in raw pixels. Zero-shot answers the same pictures
from the names alone. The classes are the names of a family that FEWEST training pictures or more have,
the same at each number of labels.
"""

from collections import Counter

import torch

from miniclip.evaluation.families import (
    correct,
    ink,
    nearest,
    of_family,
    scores_of,
    with_names,
)
from miniclip.evaluation.linear_probe import few_shot

SHOTS, FEWEST = (1, 2, 4, 8), 8


def drawn(own, shots, seeds):
    """The rows of the labelled pictures, int64, for each draw: one of each seed, or all of them once.

    own: (M, names) bool; shots: how many of each name, or "all".
    """
    picture, label = own.nonzero().T  # one row for each picture and name
    if shots == "all":
        return [torch.arange(len(own))]
    pool = range(len(label))
    return [picture[few_shot(label, pool, shots, seed)].unique() for seed in range(seeds)]


def by_shots(tests, known, own, right, seeds):
    """{number of labels: accuracy of the nearest labelled picture, the mean of the draws}.

    tests (K, D), known (M, D): unit vectors; own (M, names), right (K, names): bool.
    """
    found = {}
    for shots in (*SHOTS, "all"):
        hits = [
            (own[rows[nearest(tests, known[rows])[1]]] & right).any(1)
            for rows in drawn(own, shots, seeds)
        ]
        found[shots] = torch.stack(hits).float().mean().item()
    return found


def write(context):
    """The section: both neighbours and zero-shot, means over families; EvalContext -> results."""
    report, pairs, train = context.report, context.pairs, context.pairs.splits["train"]
    counts = Counter(name for i in train for name in pairs.names(i))
    scores = scores_of(context.features, pairs, context.templates)
    encoders = {"in its features": context.features.images, "in raw pixels": ink}
    found = {}
    for family in pairs.tested:
        indices = of_family(pairs, family)
        names = {name for i in indices for name in pairs.names(i) if counts[name] >= FEWEST}
        tests, right = with_names(pairs, indices, sorted(names))
        if not tests:
            continue
        known, own = with_names(pairs, train, sorted(names))
        hits = correct(scores(tests, sorted(names)), right)
        found[family] = {
            "n": len(tests),
            "classes": len(names),
            "zero-shot": hits.float().mean().item(),
        }
        for name, encode in encoders.items():
            vectors = (encode(pairs, some)[0] for some in (tests, known))
            found[family][name] = by_shots(*vectors, own, right, context.seeds)
    report.section("Labelled pictures and zero-shot", "section 3.1.5, figure 6")
    if not found:
        report.say("No family has a name with enough training pictures.")
        return found
    report.table(
        ("labels of each name", *(f"neighbour {name}" for name in encoders), "zero-shot"),
        [
            (
                str(shots),
                *(average(own[name][shots] for own in found.values()) for name in encoders),
            )
            + (average(own["zero-shot"] for own in found.values()),)
            for shots in (*SHOTS, "all")
        ],
    )
    report.say(
        f"Means over {len(found)} families that are held out. The labels are those of training "
        f"families, and the classes are the names that {FEWEST} training pictures or more have. "
        "Zero-shot has the names alone, and the same classes."
    )
    return found


def average(values):
    values = [*values]
    return sum(values) / len(values)
