"""Section of the report: linear probes against zero-shot (CLIP, sections 3.1.5 and 3.2)."""

from miniclip.evaluation.report import plots
from miniclip.evaluation.report.unseen_site.shots import write_curves
from miniclip.evaluation.unseen_site import ink, neighbours, probes


def write(context):
    """Figures 6 and 8 on our features, raw pixels and random weights: EvalContext -> results."""
    site, report = context.unseen, context.report
    report.section("Linear probes and few shots", "sections 3.1.5 and 3.2; figures 6, 7 and 8")
    kinds = {
        "our features": context.features.images,
        "raw pixels": ink,
        "random weights": context.features.untrained().images,
    }
    learners = {f"probe on {name}": probes(site, encode) for name, encode in kinds.items()}
    learners |= {f"neighbour in {name}": neighbours(site, encode) for name, encode in kinds.items()}
    results = write_curves(context, learners, "probes.png")
    full = {name: found["by k"]["curve"]["all"] for name, found in results.items()}
    report.figure(
        "gap.png",
        "Zero-shot against the classifiers with all labels, over all shared classes (figure 8). "
        "Above the diagonal the names alone do better than all labels of the training sites; below "
        "it the features hold more than the names retrieve.",
        plots.draw_gap,
        {name: (point["mean"], point["zero_shot"]["value"]) for name, point in full.items()},
    )
    return results
