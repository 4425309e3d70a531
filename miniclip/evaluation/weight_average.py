"""Averages of a fine-tuned model and the model it was tuned from (WiSE-FT: Wortsman et al. 2022).

The models on the line (1 - alpha) start + alpha tuned are tested on the pairs that the tuned model
learned from, which shows what fine-tuning won. They are also tested on the pairs that the model had
learned from before fine-tuning, if these are other pairs, which shows what fine-tuning lost.
Lesson: lessons/19_finetuning.md.
"""

import torch
from tqdm import tqdm

from miniclip import plots
from miniclip.common import UserError, refuse
from miniclip.data.labelled import of_pairs
from miniclip.evaluation.confidence import share
from miniclip.evaluation.context import open_data, templates_for
from miniclip.evaluation.families import TEMPLATES, scores_of, zero_shot
from miniclip.evaluation.features import FeatureCache, encode_examples, examples, model_digest
from miniclip.evaluation.retrieval import evaluate_heldout
from miniclip.training import checkpoint
from miniclip.weights import average, convert
from miniclip.zeroshot import classify

ALPHAS = [k / 10 for k in range(11)]
DEFAULT = 0.5  # the paper's choice if nothing is known about the other data


def read_start(names: tuple[str, str], tuned, activation: str | None = None) -> tuple:
    """The model that `tuned` was tuned from: (its state dict, what its file holds, its
    model_digest). Raises UserError if the two models cannot be averaged.

    names: the names of the two models, with the earlier model first; activation: as for `load`.
    """
    _, content, model, *_ = convert.load_with_file(
        names[0], next(tuned.parameters()).device, activation
    )
    average.check_alike(names, (model.config, tuned.config))
    return model.state_dict(), content, model_digest(model)


def save(path, names, alpha, start, model, tokenizer, run) -> None:
    """Write the average of one alpha as a checkpoint, for eval.py, `load` and train.py --init. It
    has learned what either of the two models has learned.

    alpha: None means DEFAULT. start: the earlier model, as `read_start` returns it. For the other
    arguments see save_average.
    """
    alpha = DEFAULT if alpha is None else alpha
    state = average.interpolate(start[0], model.state_dict(), alpha)
    learned = [checkpoint.learned_by(content) for content in (start[1], run)]
    run = run | {"learned": None if None in learned else torch.cat(learned).unique()}
    average.save_average(path, alpha, names, state, model, tokenizer, run, overwrite=True)
    print(f"{path}: {1 - alpha:g} of {names[0]} and {alpha:g} of {names[1]}")


def tests_of(context):
    """What to test on: {where: (pairs, labelled pictures or None, templates)}.

    The key "" stands for what the context holds, and the key "before: " for the pairs that the
    model had learned from before fine-tuning. There is a key "before: " only if both models say
    what they were trained on, and if these are different pairs. If the earlier pairs cannot be
    opened, they are left out, and the report says why.
    """
    tests = {"": (context.pairs, context.labelled, context.templates)}
    if not context.trained_on_pairs or context.start[1].get("format") != checkpoint.FORMAT:
        return tests
    try:
        old, _ = open_data(context.start[1], start=context.start[3])
    except UserError as error:
        context.report.say(f"The pairs from before fine-tuning are left out: {error}.")
        return tests
    if old.digest != context.pairs.digest:
        labelled = of_pairs(old)
        tests["before: "] = old, labelled, templates_for(old, labelled)
    return tests


def measures(features, pairs, labelled, templates):
    """The accuracies of one model on pairs and labelled pictures (or None): {what: confidence.share}."""
    found = {}
    if pairs.homes:
        scores = scores_of(features, pairs, templates if labelled is None else TEMPLATES)
        asked = zero_shot(scores, pairs, pairs.tested).values()
        known = [own["known"] for own in asked if "known" in own]
        right, n = sum(own["top-1"] * own["n"] for own in known), sum(own["n"] for own in known)
        found[f"zero-shot on known names of {', '.join(pairs.tested)}"] = share(round(right), n)
    else:
        scores, _ = evaluate_heldout(features, pairs)
        for split, both in scores.items():
            one, n = both["text_to_image"]["R@1"], both["text_to_image"]["n"]
            found[f"{pairs.name}, {split}: text to image R@1"] = share(round(one * n), n)
    if labelled is not None:
        x, y, _ = encode_examples(features.images, *examples(labelled, "all"))
        right = classify(x, features.classifier(labelled.class_names, templates)) == y
        found[f"zero-shot on {labelled.name}"] = share(int(right.sum()), len(y))
    return found


def write(context) -> dict:
    """The section: curves over ALPHAS, from context.start to the context's model. Returns {what was
    measured: {alpha: confidence.share}}.

    Afterwards the model has its own weights again, because the last alpha is 1.
    """
    report, model, curves = context.report, context.features.model, {}
    report.section("Averages of the weights", "Wortsman et al. 2022, WiSE-FT")
    tests = tests_of(context)
    tuned = {k: x.clone() for k, x in model.state_dict().items()}
    for alpha in tqdm(ALPHAS, desc="averages", disable=None):
        model.load_state_dict(average.interpolate(context.start[0], tuned, alpha))
        features = FeatureCache(model, context.features.tokenizer)
        for where, test in tests.items():
            for what, score in measures(features, *test).items():
                curves.setdefault(where + what, {})[f"{alpha:g}"] = score
    refuse({"there is nothing to test on, because no pair was held out; add --images": not curves})
    report.table(
        ("alpha", *next(iter(curves.values())), "n"),
        [(w, *(s["value"] for s in c.values()), c["0"]["n"]) for w, c in curves.items()],
    )
    report.say("Alpha 0 is the model before fine-tuning, and alpha 1 is the fine-tuned model.")
    drawn = {what: plots.band(ALPHAS, curve.values()) for what, curve in curves.items()}
    report.figure(
        "average.png",
        "Accuracy of the averages of the weights, with 95 % intervals.",
        plots.lines,
        [(drawn, dict(ylim=(0, 1), xlabel="alpha: 0 before fine-tuning, 1 after it"))],
    )
    return curves
