"""Section of the report: how many labelled pictures a name is worth (CLIP, section 3.1.5)."""

from miniclip.evaluation.confidence import share
from miniclip.evaluation.report import plots
from miniclip.evaluation.report.writer import share_cells
from miniclip.evaluation.unseen_site import SHOTS, curve, ink, neighbours, worth

COLUMNS = ("labels a class", "accuracy", "seeds", "zero-shot", "95 %", "classes", "n")


def write(context):
    """Nearest neighbours on our features and on raw pixels: EvalContext -> results."""
    site, report = context.unseen, context.report
    report.section("Nearest neighbours and zero-shot", "section 3.1.5; figures 6 and 7")
    learners = {
        "neighbour in our features": neighbours(site, context.features.images),
        "neighbour in raw pixels": neighbours(site, ink),
    }
    return write_curves(context, learners, "shots.png")


def write_curves(context, learners, figure):
    """Tables and the figure of learners by the number of labels: {name: curve as numbers}.

    learners: {name: learner for unseen_site.curve}. The first one is on our features.
    """
    site, report, results, drawn = context.unseen, context.report, {}, {}
    for name, learn in learners.items():
        points = list(curve(site, learn, context.seeds))
        fixed = [p for p in curve(site, learn, context.seeds, least=SHOTS[-1]) if p[0] != "all"]
        results[name] = {
            "curve": {str(p[0]): numbers(*p[1:]) for p in points},
            "worth": worth(points, len(site.tests)),
            f"classes with {SHOTS[-1]}": {str(p[0]): numbers(*p[1:]) for p in fixed},
            f"worth, classes with {SHOTS[-1]}": worth(fixed, len(site.tests)),
        }
        drawn[name] = {p[0]: p[3].float().mean(1).tolist() for p in points}
    first = next(iter(results.values()))["curve"]
    for name, found in results.items():
        report.table(
            (f"{name}: {COLUMNS[0]}", *COLUMNS[1:]),
            [
                (k, s["mean"], f"{min(s['seeds']):.2f} to {max(s['seeds']):.2f}")
                + (*share_cells(s["zero_shot"]), s["classes"], s["zero_shot"]["n"])
                for k, s in found["curve"].items()
            ],
        )
    report.say(
        "At k labels a class only the classes that have k training pictures take part, and "
        "zero-shot is given over the same classes and test pictures. A neighbour is right if it "
        "shares any name with the test picture."
    )
    report.table(
        ("zero-shot is worth, labels a class", "each k its classes", "95 %", "fixed", "95 %"),
        [
            (name, *worth_cells(f["worth"]), *worth_cells(f[f"worth, classes with {SHOTS[-1]}"]))
            for name, f in results.items()
        ],
    )
    classes = results[next(iter(results))][f"classes with {SHOTS[-1]}"]
    fixed = next(iter(classes.values()), {"classes": 0})["classes"]
    report.say(
        "The number of labels with which the classifier is as good as zero-shot, interpolated "
        "along log k; the interval is a bootstrap over test pictures and seeds. First, at each k, "
        "over the classes that have k labels; then over the same "
        f"{fixed} classes at all k, those with {SHOTS[-1]} labels."
    )
    report.figure(
        figure,
        "Accuracy on a site that was never seen by the number of labelled pictures a class from "
        "the training sites (band: the seeds), and zero-shot, which has no labels (dashed, band: "
        "95 % interval). Where a line crosses the dashed one, its labels are worth as much as the "
        "names. Fewer classes have many labels, and those are easier: compare the lines at one k.",
        plots.draw_shots,
        drawn,
        {k: first[str(k)]["zero_shot"] for k in next(iter(drawn.values()))},
        classes={k: first[str(k)]["classes"] for k in next(iter(drawn.values()))},
    )
    return results


def numbers(columns, rows, hits, ours):
    """A point of unseen_site.curve as numbers for results.json."""
    seeds = hits.float().mean(1).tolist()
    return {
        "mean": sum(seeds) / len(seeds),
        "seeds": seeds,
        "zero_shot": share(int(ours.sum()), len(rows)),
        "classes": len(columns),
    }


def worth_cells(found):
    """What unseen_site.worth found as the cells of a table: value and interval."""
    most = f"> {SHOTS[-1]}"
    value, low, high = (
        most if end is None else f"{end:.1f}" for end in map(found.get, ("value", "low", "high"))
    )
    return value, f"[{low}, {high}]"
