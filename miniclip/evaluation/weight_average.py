"""Averages of a fine-tuned model and the one that it was tuned from (WiSE-FT: Wortsman et al. 2022).

The models on the line (1 - alpha) start + alpha tuned are tested on the pairs that the tuned model
learned from, which shows what fine-tuning won. They are also tested on the pairs of the model before
fine-tuning, if these are others, which shows what it lost.
Lesson: lessons/19_finetuning.md.
"""

import collections
import os
from typing import NamedTuple

from tqdm import tqdm

from miniclip import plots
from miniclip.common import UserError, check_output, refuse, write_json
from miniclip.data import SOURCE_OPTIONS
from miniclip.data.labelled import of_pairs
from miniclip.evaluation.confidence import accuracy, share
from miniclip.evaluation.context import open_classes, open_data, open_templates
from miniclip.evaluation.families import scores_of, zero_shot
from miniclip.evaluation.features import FeatureCache, encode_examples, examples
from miniclip.evaluation.report.writer import Report, earlier_results
from miniclip.evaluation.retrieval import evaluate_heldout
from miniclip.training import checkpoint
from miniclip.weights import average, convert, reading
from miniclip.weights.average import interpolate
from miniclip.zeroshot import classify

ALPHAS = [k / 10 for k in range(11)]
DEFAULT = 0.5  # the paper's choice where nothing is known about the other data


class End(NamedTuple):
    """One of the two models: what it is called, the model, its tokenizer, what its file holds."""

    name: str
    model: object
    tokenizer: object
    content: dict


def read_start(name: str, tuned: End, activation: str | None = None) -> End:
    """The model that `tuned` was tuned from. Raises UserError where the two cannot be averaged."""
    path = reading.find(name)
    file = reading.read(path)
    device = next(tuned.model.parameters()).device
    model, tokenizer, _ = convert.from_file(path, file, device, activation)
    average.check_alike((name, tuned.name), (model.config, tuned.model.config))
    return End(name, model, tokenizer, file["content"])


def is_average(path) -> bool:
    """Whether a file is a checkpoint that `save` wrote."""
    try:
        return "average" in checkpoint.load(path)
    except UserError:
        return False


def check_path(path, read: tuple[str, str], overwrite: bool) -> None:
    """Raise UserError before the work starts if `save` cannot write to a path, or should not: it is
    one of the two files that are `read`, or was not written by miniclip."""
    replaces = os.path.realpath(path) in [os.path.realpath(reading.find(p)) for p in read]
    refuse({f"--save {path} would replace what is read; choose another name": replaces})
    check_output(path, is_average, overwrite)


def save(path, start: End, tuned: End, alpha: float | None = None) -> None:
    """Write the average of one alpha as a checkpoint, for eval.py, `load` and train.py --init."""
    alpha, names = DEFAULT if alpha is None else alpha, (start.name, tuned.name)
    state = interpolate(start.model.state_dict(), tuned.model.state_dict(), alpha)
    average.save_average(path, alpha, names, state, *tuned[1:], overwrite=True)
    print(f"{path}: {1 - alpha:g} of {names[0]} and {alpha:g} of {names[1]}")


def compare(out, start: End, tuned: End, source: dict, pictures=(None, None), templates=None):
    """Write report.md, average.png and results.json about the averages into the folder `out`.

    source: data and SOURCE_OPTIONS of open_data; pictures: images and classes of open_classes. Where
    no data are given, the models are also tested on the pairs that `start` was trained on.
    """
    pairs, _ = open_data(tuned.content, **source)
    tests = tests_of(pairs, open_classes(pairs, *pictures), templates)
    earlier_results(out, "curves")
    report = Report(out, f"{start.name} to {tuned.name}")
    if not source["data"]:
        tests += tests_of_start(start.name, start.content, tuned.content, report)
    curves = write(report, tuned.model, tuned.tokenizer, start.model.state_dict(), tests)
    report.write()
    write_json(out / "results.json", dict(start=start.name, tuned=tuned.name, curves=curves))
    print(f"\nreport.md, average.png and results.json are in {out}")


def trained_on(content):
    """What a checkpoint records about the pairs that its model was trained on, or None for weights from
    elsewhere."""
    run = content.get("options") if content.get("format") == checkpoint.FORMAT else None
    return run and {name: run.get(name) for name in ("data", *SOURCE_OPTIONS)}


def tests_of(pairs, labelled, templates=None):
    """What to test a model on: [(pairs or None, labelled pictures or None, templates)].

    Labelled pictures that are not those of the pairs are a test of their own.
    """
    together = labelled is None or labelled.pictures is pairs
    tests = [(pairs, labelled)] if together else [(pairs, None), (None, labelled)]
    return [(*test, open_templates(pairs, test[1], templates)) for test in tests]


def tests_of_start(name, start, tuned, report):
    """The tests on the pairs that `start` was trained on, if `tuned` was trained on others. Pairs that
    cannot be opened are left out, and the report says why.

    name: what the report calls this model; start, tuned: what the files of the two models hold.
    """
    if trained_on(start) in (None, trained_on(tuned)):
        return []
    try:
        pairs, _ = open_data(start)
        return tests_of(pairs, of_pairs(pairs))
    except UserError as error:
        report.say(f"The pairs that {name} was trained on are left out: {error}.")
        return []


def measures(features, pairs, labelled, templates):
    """The zero-shot accuracies of one model on one of `tests_of`: {what: confidence.share}."""
    model, tokenizer, found = features.model, features.tokenizer, {}
    if pairs is not None and pairs.homes:
        asked = zero_shot(scores_of(features, pairs, templates), pairs, pairs.tested)
        known = [own["known"] for own in asked.values() if "known" in own]
        n = sum(own["n"] for own in known)
        right = sum(own["top-1"] * own["n"] for own in known)
        found[f"zero-shot on known names of {', '.join(pairs.tested)}"] = right / n, n
    elif pairs is not None:
        for split, s in evaluate_heldout(model, tokenizer, pairs, features.images)[0].items():
            s = s["text_to_image"]
            found[f"{pairs.name}, {split}: text to image R@1"] = s["R@1"], s["n"]
    if labelled is not None:
        x, y, _ = encode_examples(features.images, *examples(labelled, "all"))
        s = accuracy(classify(x, features.classifier(labelled.class_names, templates)), y)
        found[f"zero-shot on {labelled.name}"] = s["accuracy"], s["n"]
    return {what: share(round(value * n), n) for what, (value, n) in found.items()}


def write(report, model, tokenizer, start, tests):
    """The curve over ALPHAS from the state dict `start` to that of `model`: {what: {alpha: share}}.

    The model has its own weights again afterwards, because they are those of the last alpha.
    """
    report.section("Averages of the weights", "Wortsman et al. 2022, WiSE-FT")
    tuned, found = {k: x.clone() for k, x in model.state_dict().items()}, {}
    for alpha in tqdm(ALPHAS, desc="averages", disable=None):
        model.load_state_dict(interpolate(start, tuned, alpha))
        features = FeatureCache(model, tokenizer)
        for k, test in enumerate(tests):
            for what, score in measures(features, *test).items():
                found.setdefault((what, k), {})[f"{alpha:g}"] = score
    if not found:
        raise UserError("there is nothing to test on, because no pair was held out; add --images")
    times = collections.Counter(what for what, _ in found)  # both may come from a "pairs.csv"
    curves = {
        what if times[what] == 1 else f"{what}, {'start' if k else 'tuned'}": curve
        for (what, k), curve in found.items()
    }
    report.table(
        ("alpha", *next(iter(curves.values())), "n"),
        [(w, *(s["value"] for s in c.values()), c["0"]["n"]) for w, c in curves.items()],
    )
    report.say("Alpha 0 is the model that fine-tuning started from, 1 the fine-tuned one.")
    for what, curve in curves.items():
        first, middle, last = (curve[f"{a:g}"]["value"] for a in (0, DEFAULT, 1))
        report.say(f"{what}: {first:.3f} before, {last:.3f} tuned, {middle:.3f} at {DEFAULT}.")
    axes = dict(ylim=(0, 1), xlabel="alpha: 0 before fine-tuning, 1 after it", ylabel="accuracy")
    report.figure(
        "average.png",
        "Accuracy of the averages of the weights, with 95 % intervals.",
        plots.lines,
        [({what: plots.band(ALPHAS, curve.values()) for what, curve in curves.items()}, axes)],
    )
    return curves
