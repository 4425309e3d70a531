"""Data overlap (CLIP, section 5): are test pictures in the training set, and does it matter?

near_duplicates.py finds the test pictures that are near-duplicates of training pictures; the other
test pictures are called clean. What the near-duplicates add to a score is All - Clean: the accuracy
on all test pictures, minus the accuracy on the clean ones. It comes with an interval, made from two
exact intervals, and with the p-value of the paper's one-sided binomial test.
Lesson: lessons/16_overlap.md.
"""

import numpy as np

from miniclip import plots
from miniclip.common import checked, refuse
from miniclip.evaluation.confidence import binomial_tail, clopper_pearson, interval
from miniclip.evaluation.near_duplicates import THRESHOLD, near_duplicates, thumbnails

MOST = 20_000  # compare with at most so many training pictures
COLUMNS = ("", "n", "overlap", "All", "overlapping", "clean", "All - Clean", "95 %", "p")
SHOWN = 24  # draw at most so many near-duplicates in duplicates.png


@checked
def all_minus_clean(right, overlapping, confidence: float = 0.95) -> dict:
    """A row of section 5's table. right, overlapping: (n,) bool, whether the answer to each picture
    is right, and whether the picture is also in the training set.

    'all_minus_clean' is what the overlapping pictures add to the score: their share of all
    pictures, times the difference between the accuracy on them and the accuracy on the clean ones.
    'interval' is computed in the same way, from a Clopper-Pearson interval of each accuracy. Its
    lower end uses the lower end of the accuracy on the overlapping pictures and the upper end of
    the accuracy on the clean ones. For its upper end it is the reverse. Each Clopper-Pearson
    interval misses the true accuracy with a probability of at most (1 - confidence) / 2. So the
    probability that 'interval' covers the truth is at least `confidence`.
    'p_value' is one-sided. Suppose that the true accuracy on the overlapping pictures were the
    accuracy on the clean ones. Then it is the probability of a score on the overlapping pictures
    that is at least as good as the score that was found.
    All three are None if no picture overlaps or if no picture is clean.
    Raises ValueError if there are no pictures, if the two lengths differ, or for other values than
    True and False, such as distances.
    """
    right, overlapping = np.asarray(right), np.asarray(overlapping)
    refuse(
        {
            f"{right.size} answers do not go with {overlapping.size} pictures; there must be one "
            "answer for each picture, and at least one picture, in two lists": (
                not right.shape == overlapping.shape == (right.size,) or not right.size
            ),
            "right and overlapping must be True or False for each picture": (
                not np.isin(np.append(right, overlapping), (0, 1)).all()
            ),
            f"confidence must be above 0 and below 1, not {confidence}": not 0 < confidence < 1,
        }
    )
    n, dirty = len(right), int(overlapping.sum())
    hits, dirty_hits = int(right.sum()), int(right[overlapping == 1].sum())
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
    UserError if there are no training pictures to compare with."""
    pairs, report = context.pairs, context.report
    report.section("Data overlap", "section 5, figure 17")
    known = pairs.splits["train"]
    refuse({"none of these pairs is known as one that the model was trained on": not len(known)})
    if len(known) > MOST:
        known = np.random.default_rng(0).choice(known, MOST, replace=False).tolist()
        report.say(
            f"Compared with {MOST:,} training pictures drawn at random, so the overlap is a lower "
            "bound."
        )
    if not context.trained_on_pairs and "others" not in pairs.splits:  # of emoji or icons
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
        "All - Clean is what the overlap adds to a score (figure 17; the paper finds a median "
        "overlap of 2.2 %). Its interval combines two Clopper-Pearson intervals. An interval that "
        "includes 0 does not show that the overlap raises the score. p is from a one-sided "
        "binomial test of the overlapping pictures against the clean ones."
    )
    if found:
        shown = sorted(found, key=lambda row: row[0])[:: -(-len(found) // SHOWN)]
        report.figure(
            "duplicates.png",
            f"{len(shown)} of the {len(found)} near-duplicates found, in the order of their "
            "distance. The test picture is on the left, and the training picture on the right.",
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
    """What all_minus_clean returned as cells of a table, for all of COLUMNS but the first."""
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
    """Two cells of plots.grid: a test picture, and the training picture nearest to it. The title is
    the name of the training picture and the distance of the two."""
    j = known[position]
    title = f"{pairs.captions(j)[0][:24]}\n{distance:.3f}"
    return [(source.image(i), title, "", False), (pairs.image(j), "", "", False)]
