"""Section 3.1.5 and 3.3 of the report on the study of evaluation/scaling.py: power laws, and
effective robustness of zero-shot models beside supervised ones (figures 9, 13, 14 and 15)."""

import numpy as np

from miniclip.common import UserError
from miniclip.evaluation.report import plots
from miniclip.evaluation.report.writer import share_cells
from miniclip.evaluation.robustness import baseline, effective_robustness
from miniclip.evaluation.supervised_baseline import TESTS


def power_law(x, error):
    """Fit error = scale x^slope by least squares in logarithms, as figure 9 does: (slope, scale,
    residuals of the natural logarithm of the error, (m,)). x, error: (m,) above 0."""
    x, error = np.log(x), np.log(error)
    slope, intercept = np.polyfit(x, error, 1)
    return float(slope), float(np.exp(intercept)), error - (intercept + slope * x)


def write_scaling(report, parts):
    """Tables, fits and the figure of scaling. parts: {part of the study: {run: found}}."""
    report.section("Scaling", "section 3.1.5; figure 9")
    panels = {}
    for part, axis in (("model", "Tflop"), ("pictures", "pictures"), ("sites", "sites")):
        runs = parts[part]
        report.table(
            ("run", "sites", "pictures", "names known", "Tflop", "top-1", "95 %", "top-5", "95 %"),
            [
                (
                    str(run).removeprefix(f"{run.objective}, "),
                    f["sites"],
                    f["pictures"],
                    f"{f['named']} of {f['classes']}",
                    f["Tflop"],
                    *share_cells(f["top-1"]),
                    *share_cells(f["top-5"]),
                )
                for run, f in runs.items()
            ],
        )
        x, fits = [f[axis] for f in runs.values()], {}
        for top in ("top-1", "top-5"):
            errors = [[1 - f[top][end] for f in runs.values()] for end in ("value", "high", "low")]
            fits[top] = (errors, power_law(x, errors[0]))
        panels[axis] = x, fits
        report.table(
            (f"fit in {axis}", "slope", "error at ten times as much", "residuals of log error"),
            [
                (top, slope, f"x {10**slope:.2f}", " ".join(f"{r:+.3f}" for r in residuals))
                for top, (_, (slope, _, residuals)) in fits.items()
            ],
        )
    report.figure(
        "scaling.png",
        "Zero-shot error on the site held out, both axes logarithmic, so a power law is a straight "
        "line (figure 9). Left: four models on all pictures. Middle: one model on fewer pictures. "
        "Right: one model on equally many pictures of 1, 2, 4 and all sites. Middle and right "
        "have equal compute. Bars: 95 % intervals by the number of test pictures; one seed.",
        plots.draw_scaling,
        panels,
    )


def write_robustness(report, parts, homes, away):
    """Tables and figures 13 to 15 for each home. parts: {part of the study: {run: found}}; homes:
    scaling.HOMES; away: what the site held out is called."""
    report.section("Effective robustness", "section 3.3; figures 13, 14 and 15")
    contrastive = {run: f for runs in parts.values() for run, f in runs.items() if "homes" in f}
    for site, (trained, tested) in homes.items():
        towers = [(run, f) for run, f in parts["supervised"].items() if run.home == site]
        labels = {str(run).split(", ", 1)[1].replace(f", {site}", ""): f for run, f in towers}
        (pixels,) = (f for run, f in parts["pixels"].items() if run.home == site)
        unseen = {run: f["homes"][site] for run, f in contrastive.items() if site in f["homes"]}
        best = next(unseen[run] for run in parts["without the homes"])
        rows = {"zero-shot": best["zero-shot"], "its features, labels": best["labels"]}
        rows |= {"pixels, labels": pixels} | {f"{m}, labels": f for m, f in labels.items()}

        def point(found):
            return tuple(found[test]["value"] for test in TESTS)

        report.say(
            f"{site}: {pixels['classes']} classes; the labels are those of the style "
            f"{trained or 'without a name'}, the test at home is the style {tested}."
        )
        try:
            line = baseline(*zip(*map(point, labels.values())))
        except UserError as error:
            report.say(f"No effective robustness: {error}.")
            continue
        report.say("Baseline: logit(away) = {:.2f} logit(home) {:+.2f}.".format(*line))
        effective = {n: float(effective_robustness(*point(f), line)) for n, f in rows.items()}
        report.table(
            ("classifier", "home", "95 %", "n", away, "95 %", "n", "effective robustness"),
            [
                (
                    name,
                    *(c for t in TESTS for c in (*share_cells(f[t]), f[t]["n"])),
                    effective[name],
                )
                for name, f in rows.items()
            ],
        )
        report.figure(
            f"shift_{site}.png",
            f"{site} at home, {away} as the shift, over the same classes. The line is fitted to the "
            "supervised towers, of four sizes, the smallest also trained for fewer steps; effective "
            "robustness is the height above it (figure 13). The "
            "zero-shot models were trained on neither site, but some of their pictures are near copies "
            "(docs/unseen_site.md); the last of them is the one in the table.",
            plots.draw_shift,
            {
                "supervised towers": [point(f) for f in labels.values()],
                "pixel neighbour, same labels": [point(pixels)],
                "zero-shot": [point(f["zero-shot"]) for f in unseen.values()],
                "neighbour in its features, same labels": [point(best["labels"])],
            },
            line,
            xlabel="accuracy at home (another style)",
            ylabel=f"accuracy on {away}",
        )
        report.figure(
            f"robustness_{site}.png",
            "In the paper labels from home raise accuracy at home and lower effective robustness "
            "(figures 14 and 15). Compare the first two points: names, then labels, on the same "
            f"features. Each accuracy is an estimate from {pixels['home']['n']} pictures.",
            plots.draw_robustness,
            [name.replace(", ", "\n") for name in rows],
            [point(f)[0] for f in rows.values()],
            list(effective.values()),
        )
