"""Names as labels, beside names as captions: the strongest simple baseline at equal cost (CLIP, 3.1).

    python lessons/studies/labels.py       about 30 minutes on two cores

A linear layer on the picture tower gives one logit for each name that the training pictures have, and
is trained by cross-entropy: each epoch a picture's label is one of its names. CLIP is trained beside it
by train.py. The tower, the pictures, the number of steps, the augmentation and the learning rate are
the same. Both are tested on the site held out, over the names that it shares with training, because a
softmax over names cannot answer with any other. harness.py has the options. Left out: a learning rate
for each of the two.
"""

import sys
import time

from harness import run, train_icons
from scaling import SMALL, STEPS
from supervised_baseline import Labels, train

from miniclip.data.icons.icons import TEST, Icons
from miniclip.evaluation.confidence import share, share_cells
from miniclip.evaluation.features import FeatureCache
from miniclip.evaluation.report.writer import Report
from miniclip.evaluation.unseen_site import UnseenSite, correct, labelled
from miniclip.model.clip import MODELS
from miniclip.training.recipe import recipe
from miniclip.weights import load

ARMS, SEEDS = ("labels", "captions"), (0, 1, 2)
RESULTS, OPTIONS = "docs/icons/labels", {}


def plan(args):
    """{arm: its trainings}."""
    steps = args.quick or STEPS
    return {
        arm: [{"arm": arm, "model": SMALL, "steps": steps, "seed": seed} for seed in SEEDS]
        for arm in ARMS
    }


def settings(given):
    """What a training is known by in runs.jsonl."""
    return given | {"settings": MODELS[SMALL] | recipe(SMALL)}


def work(given, folder):
    """Train one arm, and test it: its numbers."""
    pairs, began = Icons(held_out_sites=TEST), time.monotonic()
    tests, right = labelled(pairs, "heldout_site", pairs.shared_names)
    if given["arm"] == "labels":
        scores = train(Labels(pairs), given["model"], given["steps"], given["seed"])(tests)
    else:
        train_icons(folder, **{name: given[name] for name in ("model", "steps", "seed")})
        model, tokenizer, _ = load(folder / "checkpoint.pt")
        scores = UnseenSite(FeatureCache(model, tokenizer), pairs).zero_shot
    hits = {f"top-{k}": correct(scores, right, k) for k in (1, 5)}
    return {
        **{name: share(int(own.sum()), len(own)) for name, own in hits.items()},
        "classes": len(pairs.shared_names),
        "seconds": time.monotonic() - began,
    }


def write_report(found, args):
    """Write report.md: a table. found: {arm: [(training, found)]}."""
    report = Report(args.results, "Names as labels, and names as captions")
    report.section("A softmax over names beside CLIP", "section 3.1")
    report.table(
        ("names are", "seed", "top-1", "95 %", "top-5", "95 %", "n", "classes", "seconds"),
        [
            (
                arm,
                given["seed"],
                *share_cells(own["top-1"]),
                *share_cells(own["top-5"]),
                own["top-1"]["n"],
                own["classes"],
                f"{own['seconds']:.0f}",
            )
            for arm, runs in found.items()
            for given, own in runs
        ],
    )
    means = {
        arm: sum(own["top-1"]["value"] for _, own in runs) / len(runs)
        for arm, runs in found.items()
    }
    report.say(
        f"Mean top-1 of the seeds: names as labels {means['labels']:.3f}, names as captions "
        f"{means['captions']:.3f}, over names that the training pictures have. Only captions can name "
        "what has no training picture: there the labels are wrong by construction."
    )
    report.write()


if __name__ == "__main__":
    sys.exit(run(sys.modules["__main__"]))
