"""Prompts for zero-shot classification, and ensembles of prompts (CLIP, section 3.1.4).

A name without context is a caption that training pictures rarely have, and one word may name several
things. A template gives the name a context, and several templates make an ensemble. This section of
the report goes from the bare name to the ensemble. miniclip/zeroshot.py has the classifier itself.
Lesson: lessons/13_zeroshot.md.
"""

from miniclip.evaluation.confidence import interval, scores

GENERIC = "a photo of a {}."  # the paper's template for pictures of anything


def write(context) -> dict:
    """The section: accuracy from the bare class name to the ensemble (figure 4)."""
    report, home, templates = context.report, context.labelled, context.templates
    report.section(
        f"Zero-shot: {len(home.class_names)} classes, {home.name}",
        "section 3.1.4, figure 4: from a name without context to an ensemble",
    )
    x, y, _ = context.encode_labelled("all")
    own = next((t for t in templates if t != "{}"), "{}")
    prompts = {
        "bare name": ["{}"],
        f"one template, {GENERIC!r}": [GENERIC],
        f"its own template, {own!r}": [own],
        f"ensemble of {len(templates)} templates": templates,
    }
    found = {
        prompt: scores(context.features.scores(x, home.class_names, some), y)
        for prompt, some in prompts.items()
    }
    report.table(
        ("", "accuracy", "95 %", "top 5", "mean per class", "n"),
        [
            (prompt, s["accuracy"], interval(s["low"], s["high"]), s["top5"])
            + (s["balanced_accuracy"], s["n"])
            for prompt, s in found.items()
        ],
    )
    report.say(
        "The text encoder runs once for each class and template, and gives the classifier's "
        "weights; a picture then costs one matrix product. In the paper's figure 4 prompts gain 5 "
        "points on average."
    )
    return {"classes": len(home.class_names)} | found
