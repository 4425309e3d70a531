"""Section of the report: how many labelled pictures a name is worth (CLIP, section 3.1.5)."""

from miniclip.evaluation.confidence import mcnemar, paired_cells, share, share_cells
from miniclip.evaluation.linear_probe import draw_shots
from miniclip.evaluation.unseen_site import SHOTS, curve, ink, neighbours, worth

COLUMNS = ("labels a class", "accuracy", "seeds", "zero-shot", "95 %", "n", "classes", "chosen")
CHOSEN = {"fixed": "the same at all k", "by k": "those that have k"}


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
    """Tables and two figures of learners by the number of labels: {name: their numbers}.

    learners: {name: learner for unseen_site.curve}; figure: the name of the first figure's file.
    """
    site, report, results = context.unseen, context.report, {}
    drawn = {"fixed": {}, "by k": {}}  # the same classes at all k; at k those that have k
    for name, learn in learners.items():
        results[name] = {}
        for classes, least in (("fixed", SHOTS[-1]), ("by k", 1)):
            if not (points := list(curve(site, learn, context.seeds, least))):
                continue  # no class has so many
            results[name][classes] = {
                "curve": {str(k): numbers(*point) for k, *point in points},
                "worth": worth(points, len(site.tests)),
            }
            drawn[classes][name] = {k: hits.float().mean(1).tolist() for k, _, _, hits, _ in points}
    for name, found in results.items():
        rows = [
            (*point_cells(k, s), CHOSEN[classes])
            for classes, own in found.items()
            for k, s in own["curve"].items()
        ]
        report.table((f"{name}: {COLUMNS[0]}", *COLUMNS[1:]), rows)
    most = SHOTS[-1]
    report.say(
        f"Two choices of classes: the same at all k, those with at least {most} training pictures; "
        "and at k all that have k. Zero-shot is given over the same classes and test pictures. "
        "A neighbour is right if it shares any name with the test picture."
    )
    report.table(
        ("zero-shot is worth", "labels a class", "95 %", COLUMNS[-1]),
        [
            (name, *worth_cells(own["worth"]), CHOSEN[classes])
            for name, found in results.items()
            for classes, own in found.items()
        ],
    )
    report.say(
        "The number of labels with which a classifier is as good as zero-shot, interpolated along "
        "log k (figure 7; the paper's median is 5.4). The interval is a bootstrap over test "
        f"pictures and over seeds. More than {most} were not tried; 1.0 is one or fewer."
    )
    everything = [
        (name, own["curve"]["all"], CHOSEN[classes])
        for name, found in results.items()
        for classes, own in found.items()
    ]
    report.table(
        ("all labels", "accuracy", "zero-shot", "only one right", "p", COLUMNS[-1]),
        [
            (name, s["mean"], s["zero_shot"]["value"], *paired_cells(s["mcnemar"]), chosen)
            for name, s, chosen in everything
        ],
    )
    report.say(
        "All labels against zero-shot on the same pictures: how many only zero-shot has right, how "
        "many only the other, and the p of McNemar's exact test (two-sided)."
    )
    ours, place = next(iter(results.values())), ", ".join(context.pairs.held_out_sites)
    captions = {
        "fixed": "The lines have labels from the training sites, the dashed line has the names "
        "alone. Where a line crosses it, so many labelled pictures a class are worth as much as "
        f"the names. Classes: those with at least {most} labelled pictures (figure 6).",
        "by k": "At each number of labels all classes that have so many. The classes with many "
        "labels are the easier ones, so only the lines' heights at one number can be compared.",
    }
    for (classes, caption), file in zip(captions.items(), (figure, f"all_{figure}")):
        if classes in ours:
            points = ours[classes]["curve"]
            report.figure(
                file,
                f"Accuracy on {place}, a site never seen. {caption} "
                f"Bands: the lowest and highest of {context.seeds} seeds; of zero-shot, the 95 % "
                "interval.",
                draw_shots,
                drawn[classes],
                {k: points[str(k)]["zero_shot"] for k in next(iter(drawn[classes].values()))},
                classes=[point["classes"] for point in points.values()],
            )
    return results


def point_cells(k, s):
    """A point (see `numbers`) as the first cells of a table's row."""
    seeds = f"{min(s['seeds']):.2f} to {max(s['seeds']):.2f}" if len(s["seeds"]) > 1 else None
    return k, s["mean"], seeds, *share_cells(s["zero_shot"]), s["zero_shot"]["n"], s["classes"]


def numbers(columns, rows, hits, ours):
    """A point of unseen_site.curve as numbers for results.json; mcnemar: zero-shot against the
    first draw, on the same pictures."""
    seeds = hits.float().mean(1).tolist()
    return {
        "mean": sum(seeds) / len(seeds),
        "seeds": seeds,
        "zero_shot": share(int(ours.sum()), len(rows)),
        "classes": len(columns),
        "mcnemar": mcnemar(ours, hits[0]),
    }


def worth_cells(found):
    """What unseen_site.worth found as the cells of a table: value and interval."""
    most = f"> {SHOTS[-1]}"
    value, low, high = (
        most if end is None else f"{end:.1f}" for end in map(found.get, ("value", "low", "high"))
    )
    return value, f"[{low}, {high}]"
