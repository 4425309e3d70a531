"""Robustness to natural distribution shift (CLIP, section 3.3; Taori et al. 2020).

Accuracy drops on pictures from another source, and models that are better on their own test set
("at home") are better there too. With both accuracies on logit axes the models lie close to a line
(figure 13), so the size of the drop alone says little. Effective robustness is how far a model lies
above the line through other models, in accuracy. Handwritten digits are here as well, because they are
far from the training data (section 6).
Left out: the class remapping that ImageNet's variants need.
Lesson: lessons/15_shift.md.
"""

import numpy as np
from PIL import Image

from miniclip import plots
from miniclip.common import UserError
from miniclip.data.labelled import Labelled
from miniclip.evaluation import linear_probe
from miniclip.evaluation.confidence import accuracy, scores, share_cells
from miniclip.evaluation.features import encode_examples, examples, picture_source, raw_pixels

DIGIT_TEMPLATES = ["{}", "the number {}", "the digit {}"]
DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def logit(accuracy, floor=0.005):
    """log(a / (1 - a)) of accuracies, fractions of 1 that are first clipped to floor .. 1 - floor:
    0 of 100 right does not mean that the true accuracy is 0."""
    a = np.clip(np.asarray(accuracy, float), floor, 1 - floor)
    return np.log(a / (1 - a))


def baseline(accuracy, shifted) -> tuple[float, float]:
    """The line through the models that set the standard, in logits: (slope, intercept).

    accuracy, shifted: (m,) fractions of 1 at home and under the shift. Raises UserError for m < 2,
    or equal accuracies at home.
    """
    x, y = logit(accuracy), logit(shifted)
    if len(x) < 2 or np.ptp(x) < 1e-9:
        raise UserError("a baseline needs at least two models of different accuracy")
    return tuple(np.polyfit(x, y, 1).tolist())


def effective_robustness(accuracy, shifted, line):
    """Accuracy under the shift beyond what the baseline predicts from accuracy at home.

    accuracy, shifted: fractions of 1, numbers or arrays; line: (slope, intercept) in logits, from
    `baseline`. A model on the line has 0; the difference is in accuracy, not in logits.
    """
    slope, intercept = line
    expected = 1 / (1 + np.exp(-(slope * logit(accuracy) + intercept)))
    return np.asarray(shifted, float) - expected


def handwritten(n: int = 600) -> Labelled:
    """scikit-learn's handwritten digits, n to learn from and n to test on: Labelled, dark on white,
    64 x 64. Raises UserError when scikit-learn is missing."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise UserError("the digits need scikit-learn: pip install 'miniclip[eval]'") from None
    found = load_digits()
    grey = 255 - (found.images * (255 / 16)).round().astype(np.uint8)
    pictures = [Image.fromarray(x).resize((64, 64), Image.BICUBIC).convert("RGB") for x in grey]
    order = np.random.default_rng(0).permutation(len(grey))[: 2 * n].tolist()
    labels = {i: int(found.target[i]) for i in order}
    splits = {"train": order[:n], "test": order[n:], "all": order}
    return Labelled("handwritten digits", DIGITS, picture_source(pictures), labels, splits)


def draw_shift(families, line, path):
    """Figure 13: families {name: [(accuracy at home, accuracy under the shift)]}; line: the baseline,
    (slope, intercept) in logits."""
    x = np.linspace(0.02, 0.98, 200)
    fitted = -effective_robustness(x, 0 * x, line)  # a model without it lies on this curve
    dashed = {"baseline, fitted in logits": (x, fitted), "no loss by the shift": (x, x)}
    axes = dict(xlabel="accuracy at home", ylabel="mean accuracy elsewhere")
    plots.points(families, path, dashed, xlim=(0, 1), ylim=(0, 1), **axes)


def draw_robustness(names, home, effective, path):
    """Figures 14 and 15: accuracy at home and effective robustness of each classifier in `names`."""
    curves = {"accuracy at home": (names, home), "effective robustness": (names, effective)}
    curves["_none"] = names, [0] * len(names)
    plots.lines([(curves, dict(ylabel="fraction of 1"))], path, dashed=["_none"])


def write(context) -> dict:
    """The section: the same classes in other pictures, then handwritten digits."""
    report = context.report
    report.section("Robustness to natural shift", "section 3.3; figures 13, 14 and 15")
    if context.shifts and context.classes_and_shots[1] and len(context.zero_shot) > 1:
        return shifts(context) | digits(context)
    report.say(
        "No shift to measure: give the same classes in other pictures with --shift NAME=FOLDER."
    )
    return digits(context)


def shifts(context):
    """Zero-shot and probes, at home and under the shifts."""
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
        line = baseline(*zip(*sum(families.values(), [])))
    except UserError as error:
        report.say(f"No effective robustness: {error}.")
        return {"zero_shot": zero_shot}
    here = point({test: s["value"] for test, s in zero_shot.items()})
    report.figure(
        "shift.png",
        "Each point is a classifier. The line is fitted to the probes on features that were not "
        "trained on captions; effective robustness is the height above it (figure 13).",
        draw_shift,
        families | {"probes on this model": ours, "zero-shot": [here]},
        line,
    )
    labels = ["zero-shot", *(f"{k} shots" for k in context.classes_and_shots[1]), "all"]
    points = dict(zip(labels, [here, *ours]))
    effective = {label: float(effective_robustness(*p, line)) for label, p in points.items()}
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
        draw_robustness,
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
    """Zero-shot and probes on handwritten digits, which are far from the training pictures."""
    report, features = context.report, context.features
    try:
        found = handwritten()
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
