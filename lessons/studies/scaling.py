"""Scaling of models trained on icons: the error by compute and by pictures (CLIP, figure 9).

    python lessons/studies/scaling.py      about an hour on two cores

Four sizes of the model are trained on all pictures, and one size on four numbers of pictures. All
are trained for the same number of steps, and the smallest and the largest with three seeds. The
error is measured on the development families: on known names, and on new combinations of known
words. harness.py has the options. Left out: learning rates for each size.
"""

import json

import numpy as np
from harness import run

import train
from miniclip import plots
from miniclip.cost.flop import flop_per_pair
from miniclip.data.icons.families import DEVELOPMENT
from miniclip.data.icons.icons import Icons
from miniclip.evaluation.families import mean, scores_of, zero_shot
from miniclip.evaluation.features import FeatureCache
from miniclip.evaluation.report.writer import Report
from miniclip.model.clip import MODELS
from miniclip.training.recipe import recipe
from miniclip.weights import load

# both towers grow in width only, as the paper's text towers do with its ResNets (section 2.4)
MODELS["rn_icons_s"] = MODELS["rn_icons"] | dict(vision_width=16, text_width=80)
MODELS["rn_icons_l"] = MODELS["rn_icons"] | dict(vision_width=36, text_width=192)
SIZES = ("rn_icons_xs", "rn_icons_s", "rn_icons", "rn_icons_l")
SMALL = "rn_icons_s"  # the model for which the number of pictures varies; a small one saves time
PICTURES = (2_500, 10_000, 40_000, None)  # None: all
SEEDS, STEPS = (0, 1, 2), 800
QUESTIONS = ("known", "combinations")
TICKS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # of the error
RESULTS, OPTIONS = "docs/icons/scaling", {}


def plan(args):
    """{what grows: the trainings}, the smallest first."""
    grows = {
        "Tflop": [{"model": model, "pairs": None} for model in SIZES],
        "pictures": [{"model": SMALL, "pairs": pairs} for pairs in PICTURES],
    }
    return {
        axis: [
            given | {"steps": args.quick or STEPS, "seed": seed}
            for given in points
            for seed in (SEEDS if given in (points[0], points[-1]) else SEEDS[:1])
        ]
        for axis, points in grows.items()
    }


def settings(given):
    """The settings by which runs.jsonl identifies a training: options, model and recipe."""
    return given | {"settings": MODELS[given["model"]] | recipe(given["model"])}


def work(given, folder):
    """Train by train.py in `folder`, and test on the development families: its numbers."""
    options = {"data": "icons", "out": folder, "threads": 1, "device": "cpu"} | given
    line = [f"--{name}={value}" for name, value in options.items() if value is not None]
    if code := train.main(["--resume", *line]):
        raise SystemExit(code)
    results = json.loads((folder / "results.json").read_text())
    model, tokenizer, _ = load(folder / "checkpoint.pt")
    pairs = Icons()
    found = zero_shot(scores_of(FeatureCache(model, tokenizer), pairs), pairs, DEVELOPMENT)
    pictures = given["pairs"] or len(pairs.splits["train"])
    flop = flop_per_pair(model.config)  # a name counts as the whole context
    batch = min(recipe(given["model"])["batch_size"], pictures)
    return {
        "pictures": pictures,
        "Tflop": given["steps"] * batch * (flop["forward"] + flop["backward"]) / 1e12,
        "families": found,
        "seconds": results["train_seconds"],
    }


def power_law(x, error):
    """Fit error = scale x^slope by least squares in logarithms, as figure 9 does.

    x, error: (m,), above 0. Returns (slope, scale, residuals), where the residuals (m,) are those
    of the natural logarithm of the error.
    """
    x, error = np.log(x), np.log(error)
    slope, intercept = np.polyfit(x, error, 1)
    return float(slope), float(np.exp(intercept)), error - (intercept + slope * x)


def errors(runs, axis, question):
    """{size: errors of its seeds}. axis: what grows, "Tflop" or "pictures".

    An error is 1 minus the mean over families of the accuracy in which each name counts the same.
    """
    found = {}
    for _, own in runs:
        error = 1 - (mean(own["families"].values(), question, "macro") or 0.0)
        found.setdefault(own[axis], []).append(error)
    return dict(sorted(found.items()))


def write_report(found, args):
    """Write report.md and its figure: tables and fits. found: {what grows: [(training, found)]}."""
    report = Report(args.results, "Scaling of models trained on icons")
    report.section("Scaling", "section 3.1.5; figure 9")
    panels, fits = [], []
    for axis, runs in found.items():
        curves, rows = {}, []
        for question in QUESTIONS:
            points = errors(runs, axis, question)
            x, error = np.array([*points], float), np.array([np.mean(e) for e in points.values()])
            slope, scale, residuals = power_law(x, error)
            rows += [
                (question, f"{at:,.0f}", np.mean(own), min(own), max(own), len(own), f"{left:+.3f}")
                for (at, own), left in zip(points.items(), residuals)
            ]
            rows.append((f"{question}: ten times as much", "", 10**slope, None, None, "", ""))
            fits.append(f"{question}: slope {slope:+.3f}")
            ends = (np.array([end(own) for own in points.values()]) for end in (min, max))
            curves |= {question: (x, error, *ends), fits[-1]: (x, scale * x**slope)}
        report.table(("question", axis, "error", "least", "most", "seeds", "residual"), rows)
        axes = dict(xscale="log", yscale="log", xlabel=axis, ylabel="error of top-1")
        panels.append((curves, axes | dict(yticks=TICKS, yticklabels=TICKS)))
    report.say(
        "Error: 1 minus the accuracy on the development families, in which each name counts the same. "
        "Ten times as much: by what the fitted power law multiplies the error. Residual: of the "
        "natural logarithm of the error."
    )
    report.figure(
        "scaling.png",
        "Both axes are logarithmic, so a power law is a straight line (figure 9). Left: four models on "
        "all pictures. Right: one model on fewer pictures, with equal compute.",
        plots.lines,
        panels,
        dashed=fits,
    )
    report.write()


if __name__ == "__main__":
    run()
