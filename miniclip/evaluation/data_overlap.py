"""Data overlap (CLIP, section 5): are test pictures in the training set, and does it matter?

near_duplicates.py finds the test pictures that are near-duplicates of training pictures. What they add
to the score is All - Clean, with an interval from two exact ones and the paper's one-sided binomial
test.
Lesson: lessons/16_overlap.md.
"""

import numpy as np

from miniclip import plots
from miniclip.common import refuse
from miniclip.evaluation.confidence import binomial_tail, clopper_pearson, interval
from miniclip.evaluation.near_duplicates import THRESHOLD, near_duplicates, thumbnails

MOST = 20_000  # training pictures to compare with, at most
COLUMNS = ("", "n", "overlap", "All", "overlapping", "clean", "All - Clean", "95 %", "p")
SHOWN = 24  # near-duplicates in duplicates.png, at most


def all_minus_clean(right, overlapping, confidence: float = 0.95) -> dict:
    """A row of section 5's table, from two (n,) bools: which answers are right, which pictures
    overlap.

    'all_minus_clean' is what the overlap adds to the score: the share of the overlap times the
    difference of the two accuracies. Its interval takes the most distant ends of two
    Clopper-Pearson intervals, each with half of the error, so it covers the truth at least as often
    as stated. 'p_value': the probability of the overlap's score or a better one at the accuracy of
    the clean part (one-sided). These are None without an overlap or without a clean part. Raises
    ValueError for n = 0 or two lengths.
    """
    right, overlapping = np.asarray(right, bool), np.asarray(overlapping, bool)
    refuse(
        {
            f"{len(right)} answers do not go with {len(overlapping)} pictures": (
                len(right) != len(overlapping) or not len(right)
            )
        }
    )
    n, dirty = len(right), int(overlapping.sum())
    hits, dirty_hits = int(right.sum()), int(right[overlapping].sum())
    row = {
        "n": n,
        "n_overlap": dirty,
        "share": dirty / n,
        "all": hits / n,
        "overlap": dirty_hits / dirty if dirty else None,
        "clean": (hits - dirty_hits) / (n - dirty) if dirty < n else None,
        "all_minus_clean": None,
        "interval": None,
        "p_value": None,
    }
    if 0 < dirty < n:
        each = (1 + confidence) / 2
        a = clopper_pearson(dirty_hits, dirty, each)
        b = clopper_pearson(hits - dirty_hits, n - dirty, each)
        row |= {
            "all_minus_clean": dirty / n * (row["overlap"] - row["clean"]),
            "interval": (dirty / n * (a[0] - b[1]), dirty / n * (a[1] - b[0])),
            "p_value": binomial_tail(dirty_hits, dirty, row["clean"]),
        }
    return row


def write(context) -> dict:
    """The section: near-duplicates among the test pictures, and what they add to the scores. Raises
    UserError without training pictures to compare with."""
    pairs, report = context.pairs, context.report
    report.section("Data overlap", "section 5, figure 17")
    known = pairs.splits["train"]
    refuse(
        {"the pictures that this model was trained on are not known or not here": not len(known)}
    )
    if len(known) > MOST:
        known = np.random.default_rng(0).choice(known, MOST, replace=False).tolist()
        report.say(f"Compared with {MOST:,} training pictures drawn at random: a lower bound.")
    if not context.trained_on_pairs:
        report.say(
            f"This model's training data is not recorded, so the training split of {pairs.name} "
            "takes its place. This shows the method and says nothing about the model."
        )
    training, known = thumbnails(pairs, known)
    results, found = {}, []
    for name, source, right in answers(context):
        pictures, kept = thumbnails(source, right)
        nearest = [of_all.tolist() for of_all in near_duplicates(pictures, training)]
        rows = [(*row, source) for row in zip(*nearest, kept)]
        overlapping = [distance <= THRESHOLD for distance, *_ in rows]
        results[name] = all_minus_clean([right[i] for i in kept], overlapping)
        found += [row for row, near in zip(rows, overlapping) if near]
    report.table(COLUMNS, [(name, *cells(s)) for name, s in results.items()])
    report.say(
        "All - Clean is what the overlap adds to a score; its interval combines two "
        "Clopper-Pearson intervals, and one that includes 0 does not show that the overlap raises "
        "the score (figure 17; the paper finds a median overlap of 2.2 %). p: a one-sided binomial "
        "test of the overlap against the clean part."
    )
    if found:
        found.sort(key=lambda row: row[0])
        shown = found[:: -(-len(found) // SHOWN)]
        report.figure(
            "duplicates.png",
            f"{len(shown)} of the {len(found)} pairs found, test left and training right, in the "
            "order of their distance.",
            plots.grid,
            [cell for row in shown for cell in side_by_side(pairs, known, *row)],
            columns=12,
        )
    if pairs.rows:
        report.say(
            "The embedded pictures include variants of one base emoji in five skin tones and two "
            "genders. Such variants are near-duplicates by design and count as overlap here; "
            "telling them apart is what the held-out compositions test."
        )
    return results


def cells(s):
    """What all_minus_clean found as the cells of a table, after the name that COLUMNS begins with."""
    keys = ("n", "n_overlap", "all", "overlap", "clean", "all_minus_clean")
    return *map(s.get, keys), s["interval"] and interval(*s["interval"]), s["p_value"]


def answers(context):
    """Yield each test as (name, source, {index: whether the answer is right})."""
    if context.labelled is not None:
        x, y, kept = context.encode_labelled("all")
        scores = context.features.scores(x, context.labelled.class_names, context.templates)
        right = dict(zip(kept, (scores.argmax(1) == y).tolist()))
        yield "zero-shot", context.labelled.pictures, right
    for split, gallery in context.retrieval[1].items():
        wanted = set(context.pairs.splits[split])
        _, ranks = gallery.ranks_of(wanted)
        right = dict(zip([i for i in gallery.kept if i in wanted], (ranks <= 1).tolist()))
        yield f"image to text R@1, {split.removeprefix('heldout_')}", context.pairs, right


def side_by_side(pairs, known, distance, position, i, source):
    """A test picture and the training picture nearest to it as cells of plots.grid, with the name of the
    latter and their distance."""
    j = known[position]
    title = f"{pairs.captions(j)[0][:24]}\n{distance:.3f}"
    return [(source.image(i), title, "", False), (pairs.image(j), "", "", False)]
