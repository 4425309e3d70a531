"""The report on a part of objectives/race.py: tables with their spread, and figure 2.

A part's results are {entry: [(options of a training, what it found)]}; what is found holds for each
test picture whether it was named rightly.
"""

import numpy as np

from miniclip.common import write_json
from miniclip.evaluation.confidence import interval, resamples
from miniclip.evaluation.crossing import reached
from miniclip.evaluation.report import plots
from miniclip.evaluation.report.writer import Report

TITLES = {
    "race": ("The race of objectives", "section 2.3; figure 2"),
    "projection": ("A linear or a non-linear projection", "section 2.3"),
    "temperature": ("A learned or a fixed temperature", "section 2.5"),
    "batch": ("The size of the batch, at equal pairs", "section 2.5"),
    "lead": ("Contrastive against predicted words, by the batch", "section 2.3; figure 2"),
    "cap": ("With and without a cap of pairs a query", "section 2.2"),
}
BASE = "bag_of_words"  # what the others are compared with, as in figure 2
DRAWS = 2_000


def rights(runs, test="race", scores="right"):
    """Whether each picture was named rightly: (seeds, K) bool; scores "centred": with each name's
    mean score subtracted."""
    return np.array([[c == "1" for c in found[test][scores]] for _, found in runs])


def difference(a, b):
    """Mean of a minus b, with a 95 % interval by a bootstrap over seeds and pictures: {'value', 'low',
    'high'}. a, b: (seeds, K) bool, of the same seeds and pictures."""
    gain = a.astype(float) - b
    draws = [gain[np.ix_(*sample)].mean() for sample in resamples(*gain.shape, DRAWS)]
    low, high = np.quantile(draws, (0.025, 0.975))
    return {"value": float(gain.mean()), "low": float(low), "high": float(high)}


def times_fewer(pairs, accuracy, base):
    """How many times fewer pairs a curve needs than the curve `base` for the last accuracy of the
    worse of them; below 1: it needs more. All (points,)."""
    if accuracy[-1] >= base[-1]:
        return pairs[-1] / reached(pairs, accuracy, base[-1])
    return reached(pairs, base, accuracy[-1]) / pairs[-1]


def by_points(runs):
    """{pairs: runs of all seeds}, the fewest pairs first."""
    points = {}
    for how, found in runs:
        points.setdefault(how["steps"] * how["batch_size"], []).append((how, found))
    return dict(sorted(points.items()))


def ms_a_pair(points):
    """CPU milliseconds of a pair, from the two longest trainings, so that what is done once does
    not count; None where a training was resumed."""
    (fewer, short), (more, long) = [*points.items()][-2:]
    times = [[found["cpu_s"] for _, found in runs] for runs in (short, long)]
    if None in times[0] + times[1]:
        return None
    return 1e3 * (np.mean(times[1]) - np.mean(times[0])) / (more - fewer)


def spread(values):
    """Mean, least and most, as a table shows them."""
    return f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def write_report(part, found, folder):
    """Write report.md, results.json and the figure into `folder`."""
    report = Report(folder, TITLES[part][0])
    report.section(*TITLES[part])
    seeds = len({how["seed"] for runs in found.values() for how, _ in runs})
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
    # of each seed: (points, seeds)
    accuracy = {
        name: np.array([rights(runs).mean(1) for runs in points.values()])
        for name, points in curves.items()
    }
    pairs = [*next(iter(curves.values()))]
    report.table(
        ("objective", *(f"{n:,} pairs" for n in pairs)),
        [(name, *map(spread, values)) for name, values in accuracy.items()],
    )
    results, base_ms = {}, ms_a_pair(curves[BASE])
    for name, points in curves.items():
        fewer = [times_fewer(pairs, *both) for both in zip(accuracy[name].T, accuracy[BASE].T)]
        last, ms = points[pairs[-1]], ms_a_pair(points)
        results[name] = {
            "pairs": pairs,
            "top-1": accuracy[name].tolist(),
            "top-1 of centred scores": rights(last, scores="centred").mean(1).tolist(),
            "against bag of words": difference(rights(last), rights(curves[BASE][pairs[-1]])),
            "times fewer pairs": fewer,
            "CPU ms a pair": ms,
            "CPU time, bag of words = 1": ms and base_ms and ms / base_ms,
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
                f"{r['against bag of words']['value']:+.3f}",
                interval(r["against bag of words"]["low"], r["against bag of words"]["high"]),
                spread(r["times fewer pairs"]),
                r["CPU time, bag of words = 1"],
                spread(r["top-1 of centred scores"]),
            )
            for name, r in results.items()
        ],
    )
    most = pairs[-1] / pairs[0]
    report.say(
        "The difference is at the most pairs. Times fewer pairs: for the last accuracy of the worse "
        "of the two, read between the points along the logarithm of pairs; below 1 it needs more. "
        f"The points bound it: {most:g} means that or more, {1 / most:g} that or less. "
        "CPU time is that of bag-of-words prediction = 1. Centred scores: each name's mean score over "
        "the test pictures is subtracted, so that frequent names have no advantage."
    )
    report.figure(
        "race.png",
        "Zero-shot top-1 on sites never seen, by the pairs processed (figure 2): mean of the seeds, "
        "and from the least to the most of them. Each point is a training of its own.",
        plots.draw_race,
        pairs,
        accuracy,
    )
    return results


def groups(part, found):
    """{entry: {group of test pictures: rights (seeds, K)}}. For the cap: all names, then those that
    every entry trained on, by whether the first entry has fewer pictures of them than the last,
    which has no cap."""
    if part != "cap":
        return {entry: {"top-1": rights(runs)} for entry, runs in found.items()}
    known = np.array([runs[0][1]["all names"]["known"] for runs in found.values()])
    shared, fewer = known.all(0), known[0] < known[-1]
    chosen = {"all names": np.full(len(shared), True), "names that all trained on": shared}
    chosen |= {"it took pictures of them": shared & fewer, "it took none": shared & ~fewer}
    return {
        entry: {group: rights(runs, "all names")[:, some] for group, some in chosen.items()}
        for entry, runs in found.items()
    }


def ablation(report, part, found):
    """The table and the figure of an ablation, against its first entry: {entry: numbers}."""
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
    of_first = next(iter(results.values()))
    shown, titles = [*of_first], [f"{group} (n = {own['n']})" for group, own in of_first.items()]
    report.table(
        (part, *(cell for title in titles for cell in (title, "against the first", "95 %"))),
        [
            (name, *(cell for group in shown for cell in cells(own[group])))
            for name, own in results.items()
        ],
    )
    report.figure(
        f"{part}.png",
        f"{TITLES[part][0]}: zero-shot top-1 on sites never seen; a dot a seed, a line at the mean.",
        plots.draw_entries,
        {name: own[shown[0]]["seeds"] for name, own in results.items()},
    )
    return results


def cells(own):
    """One group of one entry as the cells of a table."""
    more = own["against the first"]
    return spread(own["seeds"]), f"{more['value']:+.3f}", interval(more["low"], more["high"])
