"""Section of the report: overlap of an unseen site with the training pictures (CLIP, section 5).

Copies are found by the cosine of raw pixels, which is enough for drawings of one size in black on
white; the detector of ../../near_duplicates.py is for pictures with colours and crops.
"""

import csv

import torch

from miniclip import plots
from miniclip.evaluation.confidence import mcnemar, paired_cells, share, share_cells
from miniclip.evaluation.data_overlap import COLUMNS, all_minus_clean, cells, side_by_side
from miniclip.evaluation.unseen_site import EDGES, SIDE, bins, correct, ink, neighbour_right

SHOWN = 24  # pairs in nearest.png


def write(context):
    """Copies among the test pictures, and what they add to the scores: EvalContext -> results."""
    site, report, pairs = context.unseen, context.report, context.pairs
    report.section("Data overlap", "section 5, figure 17")
    closeness, nearest = site.similarity(ink, pairs.splits["train"]).max(1)
    right = {
        "zero-shot": correct(site.zero_shot, site.right),
        "pixel neighbour, all labels": neighbour_right(site.similarity(ink), site.own, site.right),
    }
    ours, pixels = right
    everything = torch.ones_like(closeness, dtype=torch.bool)
    parts = {"all": everything, "clean": closeness < EDGES[0], **bins(closeness)}
    results, rows = {"by closeness": {}}, []
    for part, which in parts.items():
        if which.any():
            found = {
                name: share(int(r[which].sum()), int(which.sum())) for name, r in right.items()
            }
            test = mcnemar(*(r[which].numpy() for r in right.values()))
            results["by closeness"][part] = found | {"mcnemar": test}
            both = [cell for s in found.values() for cell in share_cells(s)]
            rows.append((part, int(which.sum()), *both, *paired_cells(test)))
    report.table(
        ("cosine to training", "n", ours, "95 %", pixels, "95 %", "only one right", "p"), rows
    )
    report.say(
        f"Test pictures by the cosine of raw pixels ({SIDE} x {SIDE}, black 1, white 0) to the "
        f"nearest of all {len(pairs.splits['train']):,} training pictures, whatever its name. "
        f"Clean: below {EDGES[0]:.2f}; above it are copies, and drawings that merely look alike at "
        "this size. The pixel neighbour has the labels of all "
        f"{len(site.known):,} training pictures with a shared name. p: McNemar's exact test, two "
        "sides, of the pictures on which exactly one of the two is right (zero-shot / neighbour)."
    )
    report.figure(
        "closeness.png",
        "Accuracy by the cosine to the nearest training picture. Both fall where the pictures "
        "are new; the difference between them is what the names add to copying.",
        plots.bars,
        {name: {part: s[name] for part, s in results["by closeness"].items()} for name in right},
        xlabel="accuracy, with its 95 % interval",
    )
    copies = (closeness >= EDGES[0]).numpy()
    results |= {name: all_minus_clean(r.numpy(), copies) for name, r in right.items()}
    report.table(COLUMNS, [(name, *cells(results[name])) for name in right])
    report.say(
        "All - Clean is what the overlap adds to a score (the paper's median overlap is 2.2 %); "
        "its p is of the one-sided binomial test of the overlap against the clean part."
    )
    order = closeness.argsort(descending=True).tolist()
    pictures = []
    for k in range(min(SHOWN, len(order))):
        row = order[k * len(order) // SHOWN]
        i, j = site.tests[row], pairs.splits["train"][nearest[row]]
        names = pairs.names(i)[0], pairs.names(j)[0]
        pictures += side_by_side(pairs.image(i), pairs.image(j), names, closeness[row])
    report.figure(
        "nearest.png",
        "Test pictures (left) and the training picture nearest to each (right), with the cosine, "
        "evenly spaced from the nearest pair to the farthest.",
        plots.grid,
        pictures,
        columns=12,
    )
    right["feature neighbour, all labels"] = neighbour_right(
        site.similarity(context.features.images), site.own, site.right
    )
    write_answers(site, closeness, right, report.folder / "answers.csv")
    report.say(
        "answers.csv has a line for each test picture: what was answered, and how near it is."
    )
    return results


def write_answers(site, closeness, right, path):
    """Write a line for each test picture: its captions, its names, zero-shot's answer, the rank of
    the first right name, the cosine to training, and whether each of `right` answers rightly."""
    best = site.zero_shot.masked_fill(~site.right, -torch.inf).amax(1, keepdim=True)
    ranks = (site.zero_shot > best).sum(1) + 1
    answers = site.zero_shot.argmax(1).tolist()
    with open(path, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("captions", "names", "answer", "rank", "cosine", *right))
        for row, i in enumerate(site.tests):
            names = "|".join(site.names[c] for c in site.right[row].nonzero()[:, 0])
            said = "|".join(site.pairs.captions(i)), names, site.names[answers[row]]
            hits = (int(r[row]) for r in right.values())
            table.writerow((*said, int(ranks[row]), f"{closeness[row]:.4f}", *hits))
