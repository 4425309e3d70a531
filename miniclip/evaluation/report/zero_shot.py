"""Section of the report: zero-shot classification, prompts and ensembling (CLIP, section 3.1)."""

import torch

from miniclip.evaluation.confidence import accuracy, scores
from miniclip.evaluation.context import GENERIC
from miniclip.evaluation.features import encode_examples, examples, nearest_neighbour, raw_pixels
from miniclip.evaluation.report import plots
from miniclip.objectives import shared_space
from miniclip.zeroshot import choose_caption, classify

TONES = [f"{t} skin tone" for t in ("light", "medium-light", "medium", "medium-dark", "dark")]


def write(context):
    """From the bare class name to the ensemble (figure 4): EvalContext -> results."""
    report, home, templates = context.report, context.labelled, context.templates
    report.section(
        f"Zero-shot: {len(home.class_names)} classes, {home.name}",
        "section 3.1.4, figure 4: from a name without context to an ensemble",
    )
    x, y, kept = context.encode_labelled("all")
    own = next((t for t in templates if t != "{}"), "{}")
    prompts = {
        "bare name": ["{}"],
        f"one template, {GENERIC!r}": [GENERIC],
        f"its own template, {own!r}": [own],
        f"ensemble of {len(templates)} templates": templates,
    }
    by_prompt = {
        prompt: scores(context.features.scores(x, home.class_names, some), y)
        for prompt, some in prompts.items()
    }
    supervised = {}
    if home.splits["train"] and home.splits["all"] == home.splits["test"]:
        known, labels, _ = encode_examples(raw_pixels, *examples(home, "train"))
        nearest = nearest_neighbour(known, labels, raw_pixels(home.pictures, kept)[0])
        supervised = {
            "commonest class": accuracy(labels.bincount().argmax().expand(len(y)), y),
            "pixel nearest neighbour, supervised": accuracy(nearest, y),
        }
    report.scores(by_prompt | supervised)
    report.say(
        "The text encoder runs once a class and gives the classifier's weights; a picture then "
        "costs one matrix product. The rows below the ensemble, if any, use labelled pictures."
    )
    first, *_, last = by_prompt.values()
    overlap = first["low"] <= last["high"] and last["low"] <= first["high"]
    report.figure(
        "prompts.png",
        "In the paper's figure 4 prompts gain 5 points on average. Here the ensemble changes "
        f"accuracy by {100 * (last['accuracy'] - first['accuracy']):+.1f} points; the two "
        f"intervals {'overlap' if overlap else 'do not overlap'}.",
        plots.draw_prompts,
        by_prompt,
    )
    tones = context.pairs.tones and shared_space(context.features.model)
    return (
        {"classes": len(home.class_names)}
        | by_prompt
        | supervised
        | (polysemy(context) if tones else {})
    )


def polysemy(context):
    """A word with two meanings needs context (3.1.4): two emoji, and a count on skin tones."""
    report, pairs, features = context.report, context.pairs, context.features
    by_name = {pairs.captions(i)[0]: i for i in range(len(pairs))}
    names, queries = ("mouse", "computer mouse"), ["mouse", "mouse, animal", "computer mouse"]
    images, _ = features.images(pairs, [by_name[name] for name in names])
    cosines = (images @ features.classifier(queries, ["{}"])).T.tolist()
    report.table(
        ("cosine of a query", *(f"picture of: {name}" for name in names)),
        [(query, *row) for query, row in zip(queries, cosines)],
    )
    report.say("One word, two meanings (3.1.4, polysemy): a name with context tells them apart.")
    asked = [i for i in pairs.splits["heldout_compositions"] if len(pairs.tones(i)) == 1]
    images, asked = features.images(pairs, asked)
    tones = [pairs.tones(i)[0] for i in asked]
    named = [[pairs.captions(i)[0].replace(own, t) for t in TONES] for i, own in zip(asked, tones)]
    labels = torch.tensor([TONES.index(own) for own in tones])
    predicted = {
        "tone asked alone": classify(images, features.classifier(TONES, ["{}"])),
        "tone asked with its noun": choose_caption(
            features.model, features.tokenizer, images, named
        ),
    }
    results = {name: accuracy(tones, labels) for name, tones in predicted.items()}
    report.scores(results)
    report.say("Which of five skin tones, on held-out compositions; chance is 0.2.")
    return {"skin_tone": results}
