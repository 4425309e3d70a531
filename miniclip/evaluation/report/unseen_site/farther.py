"""Section of the report: pictures far from the training data (CLIP, sections 3.3 and 6)."""

import torch

from miniclip.common import UserError
from miniclip.data.emoji.drawings import Drawings
from miniclip.data.emoji.emoji import Emoji
from miniclip.evaluation.confidence import interval, scores
from miniclip.evaluation.retrieval import Gallery, chance
from miniclip.evaluation.robustness import digits

KINDS = ("colour", "line art", "Noto")


def write(context):
    """Emoji in three drawings, then handwritten digits: EvalContext -> results."""
    report = context.report
    report.section("Farther away: emoji and digits", "sections 3.3 and 6")
    results = {kind: found for kind in KINDS if (found := emoji(context, kind))}
    rows = []
    for kind, found in results.items():
        s, c = found["text to picture"], found["text to picture"]["chance"]
        for at in ("R@1", "R@10"):
            cells = (s[at], interval(*s["intervals"][at]), f"{c[at]:.4f}", s["n"], s["gallery"])
            rows.append((f"{kind}: text to picture, {at}", *cells))
        s = found["classes"]
        cells = (s["accuracy"], interval(s["low"], s["high"]), f"{s['chance']:.4f}")
        rows.append((f"{kind}: {s['classes']}-way zero-shot", *cells, s["n"], s["classes"]))
    report.table(("emoji", "score", "95 %", "chance", "n", "choices"), rows)
    report.say(
        "Emoji as OpenMoji draws them in colour and as line art, and as Noto's font draws them. "
        "Nothing of them was trained on. Text to picture: each name and keyword is a query among "
        "all emoji. Flags and skin tones are left out."
    )
    if handwritten := digits(context):
        report.say("Chance is .10 for the digits.")
    return results | handwritten


def emoji(context, kind):
    """Retrieval and classification on one kind of drawing: a dict, empty where there is none."""
    features, pairs = context.features, Emoji()
    try:
        drawings = Drawings(pairs, kind)
    except UserError as error:
        context.report.say(f"The emoji called {kind} are left out: {error}.")
        return {}

    def pictures(_, indices):
        return features.images(drawings, indices)

    among = drawings.available
    gallery = Gallery(features.model, features.tokenizer, pairs, among, pictures)
    found = gallery.evaluate(among)["text_to_image"]
    named = [i for i in gallery.kept if pairs.label(i) >= 0]
    similarity = pictures(None, named)[0] @ features.classifier(pairs.class_names, ["{}"])
    classes = scores(similarity, torch.tensor([pairs.label(i) for i in named]))
    count = len(pairs.class_names)
    return {
        "text to picture": found | {"chance": chance(found["gallery"])},
        "classes": classes | {"classes": count, "chance": 1 / count},
    }
