"""Section of the report: linear probes and few shots (CLIP, sections 3.1.5 and 3.2)."""

import numpy as np

from miniclip.evaluation.confidence import share
from miniclip.evaluation.linear_probe import shots_worth
from miniclip.evaluation.report import plots
from miniclip.evaluation.report.writer import share_cells


def write(context):
    """Probes against zero-shot, by the number of labelled pictures: EvalContext -> results."""
    report, names, (classes, shots) = (
        context.report,
        context.labelled.class_names,
        context.classes_and_shots,
    )
    report.section("Linear probes and few shots", "sections 3.1.5 and 3.2; figures 6, 7 and 8")
    if not shots:
        report.say("Too few labelled pictures to learn from: probes are left out.")
        return {}
    left = [name for c, name in enumerate(names) if c not in classes]
    if left:
        report.say(
            f"Left out, with fewer than {shots[-1]} pictures to learn from: {', '.join(left)}."
        )
    zero_shot, probes = context.zero_shot["home"], context.probes
    n = zero_shot["n"]
    curves = {name: {k: t["home"] for k, t in p["curve"].items()} for name, p in probes.items()}
    rows, results = [("zero-shot, ensemble", *share_cells(zero_shot), n)], {}
    for name, curve in curves.items():
        mean = {k: float(np.mean(accuracies)) for k, accuracies in curve.items()}
        rows += [
            (f"{name}, {k} shots", mean[k], f"{min(own):.2f} to {max(own):.2f}", n)
            for k, own in curve.items()
        ]
        full = share(round(probes[name]["full"]["home"] * n), n)
        rows.append((f"{name}, all pictures", *share_cells(full), n))
        results[name] = probes[name] | {"mean": mean}
    report.table(("", "accuracy", f"range of {context.seeds} seeds, or [95 %]", "n"), rows)
    worth = shots_worth(results["this model"]["mean"], zero_shot["value"])
    least = "more than were tried" if worth is None else f"about {worth:.1f}"
    report.figure(
        "shots.png",
        f"Where the blue line crosses the dashed one, the probe is as good as zero-shot: {least} "
        "labelled pictures a class (figure 7; the paper's median is 5.4). The other two lines "
        "are baselines without any training on pairs.",
        plots.draw_shots,
        curves,
        dict.fromkeys(shots, zero_shot),
    )
    full = probes["this model"]["full"]
    gap = {test: (full[test], s["value"]) for test, s in context.zero_shot.items()}
    report.figure(
        "gap.png",
        "Below the diagonal the probe is better than zero-shot: the features hold more than the "
        "class names retrieve (figure 8).",
        plots.draw_gap,
        gap,
    )
    return {"zero_shot": zero_shot, "shots_worth": worth, "gap": gap, "probes": results}
