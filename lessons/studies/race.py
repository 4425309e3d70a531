"""The race of objectives, and ablations of CLIP's (CLIP, sections 2.2, 2.3 and 2.5, figure 2).

    python lessons/studies/race.py --figures                         the reports, from runs.jsonl
    python lessons/studies/race.py --figures --ablation projection   or temperature, batch, lead, cap

The trainings cannot be repeated, because miniclip no longer reads their pictures, thirteen icon
sets in the format of fonts. What each training answered is in runs.jsonl. Each entry was trained
with three seeds; for the race this took about 50 minutes on two cores. Afterwards it named the
pictures of two sites that it never saw, among 100 fixed classes. Settings were chosen on these two
sites. Each point of a curve is a training of its own, because the learning rate only reaches 0 at
the end of a training.

All entries had the recipe of SETTINGS except for the learning rate, which was chosen for each
(RATES).
Left out: choosing anything else for each objective. harness.py has the other options.
Lesson: lessons/18_objectives.md.
"""

import numpy as np
from harness import run

from miniclip import plots
from miniclip.common import refuse, write_json
from miniclip.evaluation import confidence
from miniclip.evaluation.linear_probe import reached
from miniclip.evaluation.report import writer

SEEDS, BATCH = (0, 1, 2), 256
POINTS = (100, 200, 400, 800)  # steps of a training: 25,600 to 204,800 pairs, 1 to 9 passes
MODEL = "rn_icons_xs"
# The rates with the best zero-shot top-1 among those that were tried, with a seed that is not in
# SEEDS. The top-1 of all that were tried ("-": not tried):
#
#     after 200 steps    7e-4   2e-3   6e-3   1.8e-2    after 800 steps    2e-3   6e-3
#     contrastive         .08    .18    .11      .01    captioning          .16    .31
#     contrastive_bow       -    .29    .35      .33    masked_words        .09    .08
#     sigmoid             .08    .08    .03        -
#     bag_of_words          -    .14    .29      .28
#     ngrams                -    .10    .19      .22
RATES = {
    "contrastive": 2e-3,
    "contrastive_bow": 6e-3,
    "sigmoid": 2e-3,
    "bag_of_words": 6e-3,
    "ngrams": 1.8e-2,
    "captioning": 6e-3,
    "masked_words": 2e-3,
}
# The settings of all trainings. cap: of curation, the pairs per name and the least pairs per word;
# settings: the model and its recipe.
SETTINGS = {
    "held_out_sites": ["ionicons", "eva"],
    "classes": 100,
    "cap": [10, 2],
    "settings": {
        "embed_dim": 128,
        "image_size": 32,
        "vision_layers": [1, 1, 1],
        "vision_width": 8,
        "vision_heads": 8,
        "text_width": 48,
        "text_layers": 2,
        "text_heads": 4,
        "context_length": 24,
        "activation": "quickgelu",
        "batch_size": 512,
        "epochs": 90.0,
        "lr": 3e-3,
        "weight_decay": 0.2,
        "beta2": 0.98,
        "eps": 1e-6,
        "warmup": 0.08,
        "crop": 0.8,
        "augment": "icons",
        "vocab_size": 2048,
        "clip_grad": 1.0,
        "unique_names": True,
    },
}
TITLES = {
    "race": ("The race of objectives", "section 2.3; figure 2"),
    "projection": ("A linear or a non-linear projection", "section 2.3"),
    "temperature": ("A learned or a fixed temperature", "section 2.5"),
    "batch": ("The size of the batch, at equal pairs", "section 2.5"),
    "lead": ("Contrastive against predicted words, by the batch", "section 2.3; figure 2"),
    "cap": ("With and without a cap of pairs a query", "section 2.2"),
}
BASE = "bag_of_words"  # the other objectives are compared with it, as in figure 2
DRAWS = 2_000  # of the bootstrap
RESULTS = "docs/objectives"
OPTIONS = {
    "--ablation": dict(choices=[*TITLES][1:], default="race", help="instead of the race"),
}


def training(steps, seed, objective="contrastive", batch_size=BATCH, **more):
    """Options of train.py for a training on as many pairs as `steps` batches of BATCH have.

    The learning rate grows as the root of the batch, as is right for Adam (Malladi et al. 2022).
    """
    return {
        "model": MODEL,
        "objective": objective,
        "batch_size": batch_size,
        "lr": RATES[objective] * (batch_size / BATCH) ** 0.5,
        "steps": max(1, steps * BATCH // batch_size),
        **more,
        "seed": seed,
    }


def plan(args):
    """The trainings of the race or of an ablation: {entry: [options of train.py]}."""
    refuse({"the pictures of the race are gone; add --figures, without --quick": not args.figures})
    middle, last = POINTS[-2:-1], POINTS[-1:]
    fixed = (0.01, 0.03, 0.07, 0.2, 0.5)
    entries, points = {
        "race": ({name: {"objective": name} for name in RATES}, POINTS),
        "projection": ({"linear": {}, "MLP": {"projection": "mlp"}}, last),
        "temperature": (
            {"learned": {}} | {f"{t} fixed": {"temperature": t} for t in fixed},
            middle,
        ),
        "batch": ({f"{n:,}": {"batch_size": n} for n in (32, 128, BATCH, 1024, 4096)}, middle),
        "lead": (
            {
                f"{name}, {n:,}": {"objective": name, "batch_size": n}
                for n in (64, BATCH, 1024)
                for name in (BASE, "contrastive_bow")
            },
            middle,
        ),
        "cap": (
            {"cap": {"pairs": "curated"}, "as many, drawn": {"pairs": "as many"}, "all pairs": {}},
            last,
        ),
    }[args.ablation]
    return {
        entry: [training(steps, seed, **how) for seed in SEEDS for steps in points]
        for entry, how in entries.items()
    }


def settings(options):
    """The settings by which runs.jsonl identifies a training."""
    return SETTINGS | {"options": options}


def rights(runs, test="race", scores="right"):
    """Whether each picture was named rightly, (seeds, K) bool. runs: [(training, what it found)]."""
    return np.array([[c == "1" for c in found[test][scores]] for _, found in runs])


def bootstrap(statistic, seeds, pictures):
    """The 95 % interval of statistic(indices of seeds, indices of pictures): [low, high].

    The indices are drawn with replacement. Every call of `bootstrap` draws the same ones.
    """
    rng = np.random.default_rng(0)
    draws = ((rng.integers(n, size=n) for n in (seeds, pictures)) for _ in range(DRAWS))
    return np.quantile([statistic(*drawn) for drawn in draws], (0.025, 0.975)).tolist()


def difference(a, b):
    """The mean of a minus b, with its interval: {'value', 'low', 'high'}.

    a, b: (seeds, K) bool, for the same seeds and pictures.
    """
    gain = a.astype(float) - b
    low, high = bootstrap(lambda *drawn: gain[np.ix_(*drawn)].mean(), *gain.shape)
    return {"value": float(gain.mean()), "low": low, "high": high}


def difference_cells(gain):
    """A difference and its interval, as two cells of a table."""
    return f"{gain['value']:+.3f}", confidence.interval(gain["low"], gain["high"])


def spread(values):
    """Mean, least and most, as a table shows them."""
    return f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def times_fewer(pairs, accuracy, base):
    """How many times fewer pairs a curve needs than the curve `base`, for the last accuracy of the
    worse curve. Below 1 it needs more pairs. pairs, accuracy, base: (points,)."""
    if accuracy[-1] >= base[-1]:
        return pairs[-1] / reached(pairs, accuracy, base[-1])
    return reached(pairs, base, accuracy[-1]) / pairs[-1]


def factor_interval(pairs, own, base):
    """The interval of `times_fewer`: [low, high].

    own, base: which answers are right, (points, seeds, K) of 0 and 1.
    """

    def factor(seeds, pictures):
        curves = (x[:, seeds][:, :, pictures].mean((1, 2)) for x in (own, base))
        return times_fewer(pairs, *curves)

    return bootstrap(factor, *own.shape[1:])


def by_points(runs):
    """{number of pairs: the runs of all seeds}, the fewest pairs first."""
    pairs = [options["steps"] * options["batch_size"] for options, _ in runs]
    return {n: [run for run, own in zip(runs, pairs) if own == n] for n in sorted({*pairs})}


def ms_per_pair(points):
    """CPU milliseconds per pair, from the difference between the two longest trainings.

    In this difference the work that is done once per training cancels.
    """
    (fewer, short), (more, long) = [*points.items()][-2:]
    before, after = (np.mean([found["cpu_s"] for _, found in runs]) for runs in (short, long))
    return 1e3 * (after - before) / (more - fewer)


def write_report(found, args):
    """Write report.md, results.json and the figure. found: {entry: [(training, what it found)]}."""
    part, folder = args.ablation, args.results / args.ablation
    report = writer.Report(folder, TITLES[part][0])
    report.section(*TITLES[part])
    seeds = len({training["seed"] for runs in found.values() for training, _ in runs})
    report.say(
        f"Top-1 of pictures of sites never seen, by zero-shot; mean and (least to most) of {seeds} "
        "seeds. Intervals of 95 % are by a bootstrap over seeds and pictures."
    )
    results = race(report, found) if part == "race" else ablation(report, part, found)
    report.write()
    write_json(folder / "results.json", results)


def race(report, found):
    """The tables and the figure of the race: {objective: numbers}."""
    curves = {name: by_points(runs) for name, runs in found.items()}
    hits = {  # of each objective: (points, seeds, K)
        name: np.array([rights(runs) for runs in points.values()])
        for name, points in curves.items()
    }
    accuracy = {name: own.mean(2) for name, own in hits.items()}  # (points, seeds)
    pairs = [*next(iter(curves.values()))]
    report.table(
        ("objective", *(f"{n:,} pairs" for n in pairs)),
        [(name, *map(spread, values)) for name, values in accuracy.items()],
    )
    results, base_ms = {}, ms_per_pair(curves[BASE])
    for name, points in curves.items():
        last, ms = points[pairs[-1]], ms_per_pair(points)
        mean, base = (accuracy[which].mean(1) for which in (name, BASE))
        results[name] = {
            "pairs": pairs,
            "top-1": accuracy[name].tolist(),
            "top-1 of centred scores": rights(last, scores="centred").mean(1).tolist(),
            "against bag of words": difference(rights(last), rights(curves[BASE][pairs[-1]])),
            "times fewer pairs": [
                times_fewer(pairs, *both) for both in zip(accuracy[name].T, accuracy[BASE].T)
            ],
            "times fewer pairs of the mean": {
                "value": times_fewer(pairs, mean, base),
                "interval": factor_interval(pairs, hits[name], hits[BASE]),
            },
            "CPU ms a pair": ms,
            "CPU time, bag of words = 1": ms / base_ms,
        }
    report.table(
        (
            "objective",
            "top-1 against bag of words",
            "95 %",
            "times fewer pairs",
            "CPU time a pair",
            "top-1 of centred scores",
        ),
        [
            (
                name,
                *difference_cells(own["against bag of words"]),
                spread(own["times fewer pairs"]),
                own["CPU time, bag of words = 1"],
                spread(own["top-1 of centred scores"]),
            )
            for name, own in results.items()
        ],
    )
    most = pairs[-1] / pairs[0]
    report.say(
        "The difference is taken at the most pairs. Times fewer pairs: how many times fewer pairs an "
        "objective needs than bag-of-words prediction, for the last accuracy of the worse of the two. "
        "Between the points it is read along the logarithm of pairs. Below 1 an objective needs more "
        f"pairs. The points bound it: {most:g} means {most:g} or more, and {1 / most:g} means "
        f"{1 / most:g} or less. The CPU time of bag-of-words prediction is 1. Centred scores: each "
        "name's mean score over the test pictures is subtracted, so that frequent names have no "
        "advantage."
    )
    bands = {n: (pairs, x.mean(1), x.min(1), x.max(1)) for n, x in accuracy.items()}  # of the seeds
    report.figure(
        "race.png",
        "Zero-shot top-1 on sites never seen, by the pairs processed (figure 2): mean of the seeds, "
        "and from the least to the most of them. Each point is a training of its own.",
        plots.lines,
        [(bands, dict(xscale="log", xlabel="pairs processed", ylabel="zero-shot top-1"))],
    )
    return results


def groups(part, found):
    """{entry: {group of test pictures: rights (seeds, K)}}.

    For the cap there are four groups: pictures with any name, and those whose name every entry
    trained on. The latter are also divided by whether the first entry has fewer pictures of the
    name than the last entry, which has no cap.
    """
    if part != "cap":
        return {entry: {"top-1": rights(runs)} for entry, runs in found.items()}
    known = np.array([runs[0][1]["all names"]["known"] for runs in found.values()])
    shared, fewer = known.all(0), known[0] < known[-1]
    chosen = {
        "all names": np.full(len(shared), True),
        "names that all trained on": shared,
        "it took pictures of them": shared & fewer,
        "it took none": shared & ~fewer,
    }
    return {
        entry: {group: rights(runs, "all names")[:, some] for group, some in chosen.items()}
        for entry, runs in found.items()
    }


def ablation(report, part, found):
    """The table of an ablation, against its first entry: {entry: numbers}."""
    hits = groups(part, found)
    first, *_ = hits.values()
    results = {
        entry: {
            group: {"seeds": own.mean(1).tolist(), "n": own.shape[1]}
            | {"against the first": difference(own, first[group])}
            for group, own in of_entry.items()
        }
        for entry, of_entry in hits.items()
    }
    titles = [f"{group} (n = {own.shape[1]})" for group, own in first.items()]
    report.table(
        (part, *(cell for title in titles for cell in (title, "against the first", "95 %"))),
        [
            (
                name,
                *(
                    cell
                    for own in of_entry.values()
                    for cell in (spread(own["seeds"]), *difference_cells(own["against the first"]))
                ),
            )
            for name, of_entry in results.items()
        ],
    )
    return results


if __name__ == "__main__":
    run()
