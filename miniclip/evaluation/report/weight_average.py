"""Report of eval.py --average-with: accuracy along the line between two models (WiSE-FT).

The models are (1 - alpha) start + alpha tuned. They are tested on the pairs that the tuned one learned
from, and on those of the other where it comes from other pairs: what was won, and what was lost.
"""

from types import SimpleNamespace

from tqdm import tqdm

from miniclip.common import UserError
from miniclip.data import SOURCE_OPTIONS
from miniclip.data.labelled import of_pairs
from miniclip.evaluation.confidence import accuracy
from miniclip.evaluation.context import open_classes, open_data, open_templates
from miniclip.evaluation.features import FeatureCache, encode_examples, examples
from miniclip.evaluation.report import plots
from miniclip.evaluation.retrieval import evaluate_heldout
from miniclip.evaluation.unseen_site import zero_shot
from miniclip.training.checkpoint import FORMAT
from miniclip.weights.average import interpolate
from miniclip.zeroshot import classify

ALPHAS = [k / 10 for k in range(11)]
DEFAULT = 0.5  # the paper's where nothing is known of the other data


def trained_on(content):
    """What a file says about the pairs that its model was trained on, or None."""
    run = content.get("options") if content.get("format") == FORMAT else None
    return run and {name: run.get(name) for name in ("data", *SOURCE_OPTIONS)}


def open_tests(args, tuned, start, report):
    """What to test on: [(pairs or None, labelled pictures or None, templates)]. tuned, start: what
    the two files hold.

    They are the pairs of --data, or those of the tuned model and then those of the other, which are
    left out, and the report says why, if they cannot be had; and labelled pictures of --images.
    """
    pairs, _ = open_data(args, tuned)
    labelled = open_classes(args, pairs)
    own = None if args.images else labelled
    tests = [(pairs, own, open_templates(args, own, pairs))]
    if args.images:
        tests.append((None, labelled, open_templates(args, labelled, pairs)))
    other = trained_on(start)
    if other and not args.data and other != trained_on(tuned):
        plain = SimpleNamespace(data=None, templates=None)
        try:
            pairs, _ = open_data(plain, start)
            labelled = of_pairs(pairs)
            tests.append((pairs, labelled, open_templates(plain, labelled, pairs)))
        except UserError as error:
            report.say(f"The pairs that {args.average_with} was trained on are left out: {error}.")
    return tests


def measures(features, pairs, labelled, templates):
    """The zero-shot accuracies of one model on one of `open_tests`: {what: {value, low, high, n}}."""
    found = {}
    if getattr(pairs, "shared_names", ()):
        s = zero_shot(features.model, features.tokenizer, pairs, templates)
        found["zero-shot on " + ", ".join(pairs.held_out_sites)] = s, "top-1"
    elif pairs is not None:
        scores, _ = evaluate_heldout(features.model, features.tokenizer, pairs, features.images)
        for split, s in scores.items():
            found[f"{pairs.name}, {split}: text to image R@1"] = s["text_to_image"], "R@1"
    found = {
        what: dict(zip(("low", "high"), s["intervals"][key]), value=s[key], n=s["n"])
        for what, (s, key) in found.items()
    }
    if labelled is not None:
        x, y, _ = encode_examples(features.images, *examples(labelled, "all"))
        answers = classify(x, features.classifier(labelled.class_names, templates))
        s = accuracy(answers, y)
        found[f"zero-shot on {labelled.name}"] = {
            "value": s["accuracy"],
            **{key: s[key] for key in ("low", "high", "n")},
        }
    return found


def write(report, model, tokenizer, start, tests):
    """The curve over ALPHAS from the state dict `start` to that of `model`: {what: {alpha: scores}}.

    The model's weights are those of the last alpha afterwards, its own.
    """
    report.section("Averages of the weights", "Wortsman et al. 2022, WiSE-FT")
    tuned, curves = {k: x.clone() for k, x in model.state_dict().items()}, {}
    for alpha in tqdm(ALPHAS, desc="averages", disable=None):
        model.load_state_dict(interpolate(start, tuned, alpha))
        features = FeatureCache(model, tokenizer)
        for k, test in enumerate(tests):
            for what, score in measures(features, *test).items():
                curves.setdefault((k, what), {})[f"{alpha:g}"] = score
    if not curves:
        raise UserError("there is nothing to test on: no pair was held out; add --images")
    names = [what for _, what in curves]  # both may have been trained on a "pairs.csv"
    curves = {
        what if names.count(what) == 1 else f"{what}, {'start' if k else 'tuned'}": curve
        for (k, what), curve in curves.items()
    }
    report.table(
        ("alpha", *next(iter(curves.values())), "n"),
        [(w, *(s["value"] for s in c.values()), c["0"]["n"]) for w, c in curves.items()],
    )
    report.say("Alpha 0 is the model that fine-tuning started from, 1 the fine-tuned one.")
    for what, curve in curves.items():
        first, middle, last = (curve[f"{a:g}"]["value"] for a in (0, DEFAULT, 1))
        report.say(f"{what}: {first:.3f} before, {last:.3f} tuned, {middle:.3f} at {DEFAULT}.")
    report.figure(
        "average.png",
        "Accuracy of the averages of the weights, with 95 % intervals.",
        plots.draw_average,
        {w: {float(a): s for a, s in c.items()} for w, c in curves.items()},
    )
    return curves
