"""Section of the report: robustness to natural distribution shift (CLIP, section 3.3), and
handwritten digits (section 6)."""

import numpy as np

from miniclip.common import UserError
from miniclip.evaluation import linear_probe, robustness
from miniclip.evaluation.confidence import accuracy, scores
from miniclip.evaluation.features import encode_examples, examples, raw_pixels
from miniclip.evaluation.report import plots
from miniclip.evaluation.report.writer import share_cells

DIGIT_TEMPLATES = ["{}", "the number {}", "the digit {}"]


def write(context):
    """The same classes in other pictures, then digits: EvalContext -> results."""
    report = context.report
    report.section("Robustness to natural shift", "section 3.3; figures 13, 14 and 15")
    for sentence in context.missing_shifts:
        report.say(sentence)
    if context.shifts and context.classes_and_shots[1] and len(context.zero_shot) > 1:
        return shifts(context) | digits(context)
    report.say(
        "No shift to measure: give the same classes in other pictures with --shift NAME=FOLDER."
    )
    return digits(context)


def shifts(context):
    """Zero-shot and probes at home and under the shifts: EvalContext -> results."""
    report, zero_shot = context.report, context.zero_shot
    report.table(
        ("zero-shot", "accuracy", "95 %", "n"),
        [(name, *share_cells(s), s["n"]) for name, s in zero_shot.items()],
    )

    def point(accuracies):  # {test: accuracy, or a list of them} -> (at home, mean of the shifts)
        means = {test: float(np.mean(a)) for test, a in accuracies.items()}
        return means.pop("home"), float(np.mean(list(means.values())))

    families = {
        f"probes on {kind}": [*map(point, p["curve"].values()), point(p["full"])]
        for kind, p in context.probes.items()
    }
    ours = families.pop("probes on this model")
    try:
        line = robustness.baseline(*zip(*sum(families.values(), [])))
    except UserError as error:
        report.say(f"No effective robustness: {error}.")
        return {"zero_shot": zero_shot}
    here = point({test: s["value"] for test, s in zero_shot.items()})
    report.figure(
        "shift.png",
        "Each point is a classifier. The line is fitted to the probes on features that were not "
        "trained on captions; effective robustness is the height above it (figure 13).",
        plots.draw_shift,
        families | {"probes on this model": ours, "zero-shot": [here]},
        line,
    )
    labels = ["zero-shot", *(f"{k} shots" for k in context.classes_and_shots[1]), "all"]
    points = dict(zip(labels, [here, *ours]))
    effective = {
        label: float(robustness.effective_robustness(*p, line)) for label, p in points.items()
    }
    n = zero_shot["home"]["n"]
    report.table(
        ("classifier", "home", "shifted, mean", "effective robustness", "n at home"),
        [(label, *p, effective[label], n) for label, p in points.items()],
    )
    report.figure(
        "robustness.png",
        "In the paper a probe on few labels is at home no better than zero-shot; with more labels it "
        "gets better there, and its effective robustness falls (figures 14 and 15). Here each "
        f"point is an estimate from {n} pictures.",
        plots.draw_robustness,
        list(points),
        [home for home, _ in points.values()],
        list(effective.values()),
    )
    return {
        "zero_shot": zero_shot,
        "baseline": line,
        "points": points,
        "effective_robustness": effective,
    }


def digits(context):
    """Handwritten digits, which are far from the training pictures: EvalContext -> results."""
    report, features = context.report, context.features
    try:
        found = robustness.digits()
        x, y, kept = encode_examples(features.images, *examples(found, "test"))
        similarity = x @ features.classifier(found.class_names, DIGIT_TEMPLATES)
        results = {"zero-shot": scores(similarity, y)}
        for name, encode in {"this model": features.images, "raw pixels": raw_pixels}.items():
            known, labels, _ = encode_examples(encode, *examples(found, "train"))
            probe = linear_probe.fit(known, labels, 1.0)
            predicted = probe.predict(encode(found.pictures, kept)[0].numpy())
            results[f"probe on {name}"] = accuracy(predicted, y)
    except UserError as error:
        report.say(f"The handwritten digits are left out: {error}.")
        return {}
    report.scores({f"digits: {name}": s for name, s in results.items()})
    report.say(
        "Handwriting is unlike the training pictures. In the paper zero-shot reaches 88 % on "
        "MNIST, less than a logistic regression on raw pixels."
    )
    return {"digits": results}
