"""Robustness to natural distribution shift (CLIP, section 3.3; Taori et al. 2020).

Accuracy drops on pictures from another source. Models that are better on their own test set
("at home") are better on those pictures too: with both accuracies on logit axes, the models lie
close to a line (figure 13). So the size of the drop alone says little. Effective robustness is how
far a model lies above the line through other models, in accuracy.
Left out: the class remapping that ImageNet's variants need, and data far from the training pictures
(section 6).
Lesson: lessons/15_shift.md.
"""

import numpy as np

from miniclip import plots
from miniclip.common import refuse
from miniclip.evaluation.confidence import share_cells


def logit(accuracy, floor=0.005):
    """log(a / (1 - a)) of accuracies, which are fractions of 1. They are first clipped to floor ..
    1 - floor, because 0 of 100 right does not mean that the true accuracy is 0. Raises UserError
    for other numbers, such as percentages."""
    refuse(
        {
            "accuracies must be fractions from 0 to 1, and not percentages": not np.array_equal(
                np.clip(accuracy, 0, 1), accuracy
            )
        }
    )
    a = np.clip(np.asarray(accuracy, float), floor, 1 - floor)
    return np.log(a / (1 - a))


def baseline(accuracy, shifted) -> tuple[float, float]:
    """The line through the models that others are compared with, in logits: (slope, intercept).

    accuracy, shifted: (m,) fractions of 1 at home and under the shift. Raises UserError if there
    are fewer than two models, or if all have the same accuracy at home.
    """
    x, y = logit(accuracy), logit(shifted)
    refuse(
        {
            "accuracy and shifted must be two lists of one length": (
                not x.shape == y.shape == (x.size,)
            ),
            "a baseline needs at least two models of different accuracy": (
                len(x) < 2 or np.ptp(x) < 1e-9
            ),
        }
    )
    return tuple(np.polyfit(x, y, 1).tolist())


def effective_robustness(accuracy, shifted, line):
    """Accuracy under the shift beyond what the baseline predicts from accuracy at home.

    accuracy, shifted: fractions of 1, numbers or arrays; line: (slope, intercept) in logits, from
    `baseline`. A model on the line has 0; the difference is in accuracy, not in logits. The
    line ends at accuracies of 0.005 and 0.995 (see logit), so 0 and 1 are that far from it.
    """
    slope, intercept = line
    logit(shifted)  # refuses percentages
    expected = 1 / (1 + np.exp(-(slope * logit(accuracy) + intercept)))
    return np.asarray(shifted, float) - expected


def draw_shift(families, line, path):
    """Figure 13: families {name: [(accuracy at home, accuracy under the shift)]}; line: the baseline,
    (slope, intercept) in logits."""
    x = np.linspace(0.02, 0.98, 200)
    fitted = -effective_robustness(x, 0 * x, line)  # the curve of a model without robustness
    dashed = {"baseline, fitted in logits": (x, fitted), "no loss by the shift": (x, x)}
    points = {name: [*zip(*family)] for name, family in families.items()}
    how = dict(
        xlim=(0, 1), ylim=(0, 1), xlabel="accuracy at home", ylabel="mean accuracy elsewhere"
    )
    plots.lines([(dashed | points, how)], path, dashed=dashed, dots=points)


def write(context) -> dict:
    """The section: the same classes in other pictures. Raises UserError if there are no two
    baselines of different accuracy."""
    report = context.report
    report.section("Robustness to natural shift", "section 3.3; figures 13, 14 and 15")
    if not context.shifts:
        report.say(
            "No shift to measure: give the same classes in other pictures with --shift NAME=FOLDER."
        )
        return {}
    zero_shot = context.zero_shot
    refuse(
        {"no class with enough pictures to learn from has pictures in a shift": len(zero_shot) < 2}
    )
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
    line = baseline(*zip(*sum(families.values(), [])))
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
    report.table(
        ("classifier", "home", "shifted, mean", "effective robustness", "n at home"),
        [(label, *p, effective[label], zero_shot["home"]["n"]) for label, p in points.items()],
    )
    report.say(
        "In the paper a probe on few labels is no better at home than zero-shot. With more labels "
        "it gets better at home, and its effective robustness falls (figures 14 and 15)."
    )
    return {
        "zero_shot": zero_shot,
        "baseline": line,
        "points": points,
        "effective_robustness": effective,
    }
