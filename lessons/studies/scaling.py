"""Scaling of models trained on icons: the error by compute, pictures and sites (CLIP, figure 9).

    python lessons/studies/scaling.py      about 40 minutes on two cores

Four model sizes on all pictures, one size on four numbers of pictures, and the same size on four
numbers of sites with equally many pictures, all for the same number of steps. harness.py has the
options. Left out: several seeds.
"""

import functools
import sys

import numpy as np
from harness import run, train_icons
from supervised_baseline import HOMES, Home, accuracies, neighbour

from miniclip import plots
from miniclip.cost.flop import flop_per_pair
from miniclip.data.icons.icons import TEST, Icons
from miniclip.evaluation.confidence import share, share_cells
from miniclip.evaluation.features import FeatureCache
from miniclip.evaluation.report.writer import Report
from miniclip.evaluation.unseen_site import UnseenSite, correct
from miniclip.model.clip import MODELS
from miniclip.training.recipe import recipe
from miniclip.weights import load

# both towers grow in width only, as the paper's text towers do with its ResNets (section 2.4)
MODELS["rn_icons_s"] = MODELS["rn_icons"] | dict(vision_width=16, text_width=80)
MODELS["rn_icons_l"] = MODELS["rn_icons"] | dict(vision_width=36, text_width=192)
SIZES = ("rn_icons_xs", "rn_icons_s", "rn_icons", "rn_icons_l")
SMALL = "rn_icons_s"  # where pictures and sites vary, to save time
SITES, OF_PICTURES = ("material", "google", "fluent", "remix"), 6_000  # the largest sites first
SEED, STEPS = 0, 640  # of 512 pictures: 13 epochs of all pictures
TICKS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # of the error
RESULTS = "docs/icons/scaling"
OPTIONS = {"--held-out-sites": dict(default=",".join(TEST), help="the sets to test on")}


def training(args, model, **more):
    """A training of CLIP, a dict. more: pairs, how many (default: all), and sites, a tuple (default:
    all that are not held out)."""
    given = {"objective": "contrastive", "model": model, "steps": args.quick or STEPS}
    return given | {"held_out_sites": args.held_out_sites.split(",")} | more


def plan(args):
    """{what grows: the trainings}."""
    few = dict(model=SMALL, pairs=OF_PICTURES)
    everything = training(args, SMALL)
    fewer = [training(args, SMALL, pairs=n) for n in (3_000, 6_000, 12_000)]
    sites = [training(args, **few, sites=SITES[:k]) for k in (1, 2, 4)]
    return {
        "Tflop": [training(args, model) for model in SIZES],
        "pictures": [*fewer, everything],
        "sites": [*sites, training(args, **few)],
    }


def settings(given):
    """What a training is known by in runs.jsonl: its options, its model's numbers and its recipe."""
    model = given.get("model")
    numbers = MODELS[model] | recipe(model) if model else {}
    return given | {"seed": SEED, "homes": HOMES, "settings": numbers}


def work(given, folder):
    """Train CLIP by train.py in `folder`, and test it: its numbers.

    All trainings are tested over the same classes, the names that all training pictures share with
    the site held out; "named" counts those that the pictures of this training have. "homes": its
    accuracies on the sites of HOMES that it did not see.
    """
    sites, held_out = given.get("sites"), given["held_out_sites"]
    results = train_icons(
        folder,
        held_out_sites=",".join(held_out),
        sites=sites and ",".join(sites),
        model=given["model"],
        steps=given["steps"],
        pairs=given.get("pairs"),
        seed=SEED,
    )
    model, tokenizer, _ = load(folder / "checkpoint.pt")

    features, pairs = FeatureCache(model, tokenizer), Icons(held_out_sites=held_out)
    everywhere = UnseenSite(features, pairs)
    hits = {f"top-{k}": correct(everywhere.zero_shot, everywhere.right, k) for k in (1, 5)}
    trained = Icons(sites, held_out, (pairs.owned, pairs.inks))
    pictures = min(given.get("pairs", np.inf), len(trained.splits["train"]))
    flop = flop_per_pair(model.config)  # a name counts as the whole context
    batch = min(recipe(given["model"])["batch_size"], pictures)
    homes = {}
    for site in [site for site in HOMES if site not in trained.sites]:
        home = Home(pairs, site)
        zero_shot = functools.partial(UnseenSite(features, home).scores, names=home.tested_names)
        homes[site] = {
            "zero-shot": accuracies(home, zero_shot),
            "labels": accuracies(home, neighbour(features.images, home)),
        }
    return {
        "sites": len(trained.sites),
        "pictures": pictures,
        "Tflop": given["steps"] * batch * (flop["forward"] + flop["backward"]) / 1e12,
        **{top: share(int(own.sum()), len(own)) for top, own in hits.items()},
        "classes": len(pairs.shared_names),
        "named": results["zero_shot"]["classes"],
        "homes": homes,
        "seconds": results["train_seconds"],
    }


def power_law(x, error):
    """Fit error = scale x^slope by least squares in logarithms, as figure 9 does: (slope, scale,
    residuals of the natural logarithm of the error, (m,)). x, error: (m,) above 0."""
    x, error = np.log(x), np.log(error)
    slope, intercept = np.polyfit(x, error, 1)
    return float(slope), float(np.exp(intercept)), error - (intercept + slope * x)


def title(given):
    """A training in words: the model, and its pictures and sites where these are not all."""
    pictures = f"{given['pairs']:,} pictures" if "pairs" in given else ""
    return ", ".join(filter(None, (given["model"], pictures, "+".join(given.get("sites", ())))))


def write_report(found, args):
    """Write report.md and its figure: tables and fits. found: {what grows: [(training, found)]}."""
    report = Report(args.results, "Scaling of models trained on icons")
    report.section("Scaling", "section 3.1.5; figure 9")
    panels, fits = [], []
    for axis, runs in found.items():
        report.table(
            ("run", "sites", "pictures", "names known", "Tflop", "top-1", "95 %", "top-5", "95 %"),
            [
                (
                    title(given),
                    own["sites"],
                    own["pictures"],
                    f"{own['named']} of {own['classes']}",
                    own["Tflop"],
                    *share_cells(own["top-1"]),
                    *share_cells(own["top-5"]),
                )
                for given, own in runs
            ],
        )
        x, rows, curves = np.array([own[axis] for _, own in runs], float), [], {}
        for top in ("top-1", "top-5"):
            error, high, low = (
                1 - np.array([own[top][end] for _, own in runs]) for end in ("value", "low", "high")
            )
            slope, scale, residuals = power_law(x, error)
            left = " ".join(f"{residual:+.3f}" for residual in residuals)
            rows.append((top, slope, f"x {10**slope:.2f}", left))
            fits.append(f"{top}: slope {slope:+.3f}")
            curves |= {top: (x, error, low, high), fits[-1]: (x, scale * x**slope)}
        report.table(
            (f"fit in {axis}", "slope", "error at ten times as much", "residuals of log error"),
            rows,
        )
        axes = dict(xscale="log", yscale="log", xlabel=axis, ylabel="zero-shot error")
        panels.append((curves, axes | dict(yticks=TICKS, yticklabels=TICKS)))
    report.figure(
        "scaling.png",
        "Zero-shot error on the site held out, both axes logarithmic, so a power law is a straight "
        "line (figure 9). Left: four models on all pictures. Middle: one model on fewer pictures. "
        "Right: one model on equally many pictures of 1, 2, 4 and all sites. Middle and right "
        "have equal compute. Bars: 95 % intervals by the number of test pictures; one seed.",
        plots.lines,
        panels,
        dashed=fits,
    )
    report.write()


if __name__ == "__main__":
    sys.exit(run(sys.modules[__name__]))
