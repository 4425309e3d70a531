"""Section of the report: linear probes against zero-shot (CLIP, sections 3.1.5 and 3.2)."""

from miniclip.evaluation.linear_probe import draw_gap
from miniclip.evaluation.report.unseen_site.shots import write_curves
from miniclip.evaluation.unseen_site import SHOTS, ink, neighbours, probes


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
    ours = results["probe on our features"]
    full = [own["curve"]["all"] for own in ours.values()]
    report.figure(
        "gap.png",
        "Zero-shot against the probe on our features with all labels (figure 8), over all shared "
        f"classes and over those with at least {SHOTS[-1]} training pictures. Above the diagonal "
        "the names alone do better than the labels of the training sites; below it the features "
        "hold more than the names retrieve.",
        draw_gap,
        {
            f"{s['classes']} classes, {s['zero_shot']['n']} pictures": (
                s["mean"],
                s["zero_shot"]["value"],
            )
            for s in full
        },
    )
    return results
