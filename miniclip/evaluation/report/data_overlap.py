"""Section of the report: overlap of the test pictures with the training set (CLIP, section 5)."""

import numpy as np

from miniclip.evaluation.confidence import interval
from miniclip.evaluation.data_overlap import (
    THRESHOLD,
    all_minus_clean,
    near_duplicates,
    thumbnails,
)
from miniclip.evaluation.report import plots
from miniclip.evaluation.synthetic_duplicates import trial

MOST = 20_000  # training pictures to compare with, at most
CELLS = ("n", "n_overlap", "all", "overlap", "clean", "all_minus_clean")  # of the table
SHOWN = 24  # near-duplicates in duplicates.png, at most


def write(context):
    """Near-duplicates in the tests, and what they add to the scores: EvalContext -> results."""
    pairs, report = context.pairs, context.report
    report.section("Data overlap", "section 5, figure 17")
    known = pairs.splits.get("train") or []
    if not known:
        report.say(
            "The pictures that this model was trained on are not known or not here: overlap is "
            "left out."
        )
        return {}
    if len(known) > MOST:
        known = np.random.default_rng(0).choice(known, MOST, replace=False).tolist()
        report.say(f"Compared with {MOST:,} training pictures drawn at random: a lower bound.")
    if not context.trained_on_pairs:
        report.say(
            f"This model's training data is not recorded; the training split of {pairs.name} "
            "takes its place. This shows the method and says nothing about the model."
        )
    training, known = thumbnails(pairs, known)
    results, found, nearest_of = {}, [], {}
    for name, source, right in answers(context):
        nearest = nearest_of.setdefault(id(source), {})  # several tests have the same pictures
        pictures, new = thumbnails(source, [i for i in right if i not in nearest])
        nearest |= zip(new, zip(*(v.tolist() for v in near_duplicates(pictures, training))))
        kept = [i for i in right if i in nearest]
        overlapping = [nearest[i][0] <= THRESHOLD for i in kept]
        results[name] = all_minus_clean([right[i] for i in kept], overlapping)
        found += [(*nearest[i], source, i) for i, near in zip(kept, overlapping) if near]
    report.table(
        ("", "n", "overlap", "All", "overlapping", "clean", "All - Clean", "95 %", "p"),
        [
            (name, *map(s.get, CELLS), s["interval"] and interval(*s["interval"]), s["p_value"])
            for name, s in results.items()
        ],
    )
    report.say(
        "All - Clean is what the overlap adds to a score; its interval combines two "
        "Clopper-Pearson intervals. p: a one-sided binomial test of the overlap against the "
        "clean part."
    )
    measured = {name: s for name, s in results.items() if s["interval"]}
    if measured:
        report.figure(
            "overlap.png",
            "An interval that includes 0 does not show that the overlap raises the score (figure "
            "17). The paper finds a median overlap of 2.2 %.",
            plots.draw_overlap,
            measured,
        )
    if found:
        found.sort(key=lambda row: row[0])
        shown = min(SHOWN, len(found))
        report.figure(
            "duplicates.png",
            f"{shown} of the {len(found)} pairs found, test left and training right, in the order "
            "of their distance.",
            plots.draw_duplicates,
            [side_by_side(pairs, known, *found[k * len(found) // shown]) for k in range(shown)],
        )
    if pairs.rows:
        report.say(
            "The embedded pictures include variants of one base emoji in five skin tones and two "
            "genders. Such variants are near-duplicates by design and count as overlap here; "
            "telling them apart is what the held-out compositions test."
        )
        results["detector"] = s = trial(pairs)
        report.say(
            f"The detector: of {s['duplicates']} synthetic near-duplicates (resized, cropped, "
            f"recompressed, recoloured) it finds {s['found']}, with {s['false']} false positives "
            f"among {s['clean']} clean pictures: recall {s['recall']:.2f}, precision "
            f"{s['precision']:.2f}."
        )
    return results


def answers(context):
    """Yield each test as (name, source, {index: whether the answer is right})."""
    if context.labelled is not None:
        yield "zero-shot", context.labelled.pictures, context.zero_shot_right("all")
    for split, gallery in context.retrieval[1].items():
        wanted = set(context.pairs.splits[split])
        _, ranks = gallery.ranks_of(wanted)
        right = dict(zip([i for i in gallery.kept if i in wanted], (ranks <= 1).tolist()))
        yield f"image to text R@1, {split.removeprefix('heldout_')}", context.pairs, right


def side_by_side(pairs, known, distance, position, source, i):
    """A near-duplicate for the figure: (test picture, training picture, title)."""
    test = pairs.captions(i)[0][:24] if source is pairs else "test"
    training = pairs.captions(known[position])[0][:24]
    return source.image(i), pairs.image(known[position]), f"{test}\n{training}\n{distance:.3f}"
