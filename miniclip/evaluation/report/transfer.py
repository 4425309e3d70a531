"""The report's parts on what needs no labels: retrieval (the paper's appendix), zero-shot transfer and
its prompts (section 3.1). Each part takes an EvalContext, writes its section, and returns its results."""

import torch

from miniclip.evaluation.context import GENERIC
from miniclip.evaluation.features import raw_pixels
from miniclip.evaluation.report import plots
from miniclip.evaluation.report.pictures import draw_retrieval
from miniclip.evaluation.report.writer import COLUMNS, interval, row
from miniclip.evaluation.retrieval import choose, evaluate_heldout, recall_by_size, table
from miniclip.zeroshot import accuracy, classify, nearest_neighbour, scores

TONES = [f"{t} skin tone" for t in ("light", "medium-light", "medium", "medium-dark", "dark")]


def retrieval(e):
    """The appendix: captions look for pictures and pictures for captions. EvalContext -> dict of results."""
    pairs, report = e.pairs, e.report
    report.section(
        "Retrieval", "the paper's table of text and image retrieval; Flickr30k's protocol"
    )
    held_out, galleries = evaluate_heldout(e.subject.model, e.subject.tokenizer, pairs,
                                           e.subject.pictures)  # fmt: skip
    if not held_out:
        report.say("No pairs were held out: there is nothing to retrieve.")
        return {}
    if "heldout_compositions" in held_out:
        oracle = pairs.tone_blind_oracle(pairs.splits["heldout_compositions"])
        held_out["heldout_compositions"]["tone_blind_oracle"] = oracle
    report.text(table(held_out))
    report.table(("R@1 and R@10 with 95 %", "R@1", "", "R@10", "", "n"), [
        (f"{split.removeprefix('heldout_')}: {way.replace('_', ' ')}", s["R@1"],
         interval(*s["intervals"]["R@1"]), s["R@10"], interval(*s["intervals"]["R@10"]), s["n"])
        for split, both in held_out.items() for way in ("text_to_image", "image_to_text")
        for s in [both[way]]])  # fmt: skip
    report.say("R@k is the share of queries whose answer is among the first k of the gallery. Chance "
               "is a gallery in random order.")  # fmt: skip
    split, gallery = next(iter(galleries.items()))
    queries, answers = pairs.queries(split)
    draw_retrieval(gallery, queries, report.path("retrieval.png"), answers=answers)
    report.figure("retrieval.png", "A row is a query with the pictures it finds, the nearest first; a "
                  "green frame marks the picture that the caption belongs to.")  # fmt: skip
    curves = {}
    for split, gallery in galleries.items():
        size = len(gallery.pictures)
        sizes = [s for s in (2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000) if s < size] + [size]
        ranks = gallery.ranks_of(pairs.splits[split])[0]
        curves[split] = recall_by_size(ranks, size, sizes)
    plots.draw_candidates(curves, report.path("candidates.png"))
    report.figure("candidates.png", "R@1 from text to image when the answer hides among fewer pictures: "
                  "no recall means anything without the size of its gallery.")  # fmt: skip
    return held_out | {"by_candidates": curves}


def zero_shot(e):
    """Section 3.1: a classifier from names, a template, an ensemble. EvalContext -> dict of results."""
    report, home = e.report, e.labelled
    report.section(f"Zero-shot: {len(home.class_names)} classes, {home.name}",
                   "section 3.1.4, figure 4: from a name without context to an ensemble")  # fmt: skip
    x, y, asked = e.seen("all")
    own = next((t for t in e.templates if t != "{}"), "{}")
    ladder = {"bare name": ["{}"], f"one template, {GENERIC!r}": [GENERIC],
              f"its own template, {own!r}": [own],
              f"ensemble of {len(e.templates)} templates": e.templates}  # fmt: skip
    results = {prompt: scores(x @ e.subject.classifier(home.class_names, templates), y)
               for prompt, templates in ladder.items()}  # fmt: skip
    plots.draw_prompts([(p, s["accuracy"], s["low"], s["high"]) for p, s in results.items()],
                         report.path("prompts.png"))  # fmt: skip
    if home.splits["train"] and home.splits["all"] == home.splits["test"]:
        labels = torch.tensor([home.labels[i] for i in home.splits["train"]])
        commonest = labels.bincount().argmax().expand(len(y))
        results["commonest class"] = accuracy(commonest, y)
        known, kept = raw_pixels(home.pictures, home.splits["train"])
        labels = torch.tensor([home.labels[i] for i in kept])
        nearest = nearest_neighbour(known, labels, raw_pixels(home.pictures, asked)[0])
        results["pixel nearest neighbour, supervised"] = accuracy(nearest, y)
    report.table(COLUMNS, [row(*item) for item in results.items()])
    report.say("The text encoder runs once a class and writes the classifier's weights; a picture then "
               "costs one matrix product. Supervised rows have seen labelled pictures.")  # fmt: skip
    first, last = list(results.values())[0], list(results.values())[3]
    overlap = first["low"] <= last["high"] and last["low"] <= first["high"]
    report.figure("prompts.png", f"The paper's figure 4 gains 5 points from prompts on average; here the "
                  f"ensemble moves accuracy by {100 * (last['accuracy'] - first['accuracy']):+.1f} points, "
                  f"{'which these intervals do not tell from nothing' if overlap else 'beyond them'}.")  # fmt: skip
    if hasattr(e.pairs, "tones"):
        results |= context(e)
    return {"classes": len(home.class_names)} | results


def context(e):
    """Polysemy: a word needs its context, shown with two emoji, and counted with skin tones."""
    report, pairs, subject = e.report, e.pairs, e.subject
    by_name = {pairs.captions(i)[0]: i for i in range(len(pairs))}
    shown = ("mouse", "computer mouse")
    queries = ["mouse", "mouse, animal", "computer mouse"]
    pictures, _ = subject.pictures(pairs, [by_name[name] for name in shown])
    cosines = (pictures @ subject.classifier(queries, ["{}"])).T
    report.table(("cosine of a query", *(f"picture of: {name}" for name in shown)),
                 [(q, *c) for q, c in zip(queries, cosines.tolist())])  # fmt: skip
    report.say(
        "One word, two things (3.1.4, polysemy): the context in the name is what separates them."
    )
    asked = [i for i in pairs.splits["heldout_compositions"] if len(pairs.tones(i)) == 1]
    pictures, asked = subject.pictures(pairs, asked)
    labels = torch.tensor([TONES.index(pairs.tones(i)[0]) for i in asked])
    named = [[pairs.captions(i)[0].replace(pairs.tones(i)[0], t) for t in TONES] for i in asked]
    results = {
        "tone asked alone": accuracy(classify(pictures, subject.classifier(TONES, ["{}"])), labels),
        "tone asked with its noun": accuracy(
            choose(subject.model, subject.tokenizer, pictures, named), labels),
    }  # fmt: skip
    report.table(COLUMNS, [row(*item) for item in results.items()])
    report.say("Which of five skin tones, on held-out compositions; chance is 0.2.")
    return {"skin_tone": results}
