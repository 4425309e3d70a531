"""Section of the report: style words in prompts, the ensemble, polysemy (CLIP, section 3.1.4)."""

import torch

from miniclip import plots
from miniclip.evaluation.confidence import share, share_cells
from miniclip.evaluation.retrieval import Gallery, draw_retrieval
from miniclip.evaluation.unseen_site import correct, style_choices

OTHER_ORDER = ("filled {}", "outline {}")  # captions have the style last
FEWEST = 20  # pictures of a style that a row is shown for
NEAREST = 5  # pictures of a query
SENSES = {
    "crane": ("pier crane", "crane bird"),
    "mouse": ("mouse pointer", "mouse rodent"),
    "bat": ("baseball bat", "bat animal"),
    "key": ("lock key", "keyboard key"),
    "bank": ("bank building", "piggy bank"),
}


def write(context):
    """What the words around a name do: EvalContext -> results."""
    context.report.section("Prompts", "section 3.1.4, figure 4")
    return {"templates": templates(context), "styles": styles(context), "senses": senses(context)}


def templates(context):
    """Accuracy of each template and of all, for each style of the test pictures."""
    site, report = context.unseen, context.report
    drawn = [{style for _, _, style in context.pairs.owned[i]} for i in site.tests]
    groups = {"all": torch.ones(len(drawn), dtype=torch.bool)}
    for style in sorted(set().union(*drawn)):
        which = torch.tensor([style in own for own in drawn])
        if which.sum() >= FEWEST:
            groups[f"drawn as {style!r}" if style else "no style told"] = which
    prompts = {repr(t): (t,) for t in (*site.templates, *OTHER_ORDER)}
    ensemble = f"ensemble of the first {len(site.templates)}"
    prompts[ensemble] = site.templates
    results = {}
    for prompt, some in prompts.items():
        hits = correct(site.scores(site.tests, site.names, some), site.right)
        results[prompt] = {g: share(int(hits[w].sum()), int(w.sum())) for g, w in groups.items()}
    head = [
        cell for group, which in groups.items() for cell in (f"{group} ({which.sum()})", "95 %")
    ]
    report.table(
        ("zero-shot top-1 (n)", *head),
        [
            (prompt, *(cell for s in found.values() for cell in share_cells(s)))
            for prompt, found in results.items()
        ],
    )
    every, alone = (results[p]["all"]["value"] for p in (ensemble, repr(site.templates[0])))
    report.figure(
        "prompts.png",
        "The same pictures and classes; only the words around the name differ. The ensemble "
        f"changes accuracy by {100 * (every - alone):+.1f} points against the first template alone "
        "(figure 4; the paper gains 5 points on average).",
        plots.bars,
        {"_": {p: found["all"] for p, found in results.items()}},
        xlabel="zero-shot accuracy, with its 95 % interval",
    )
    return results


def styles(context):
    """Whether a style word picks the drawing of that style among drawings of the same name."""
    results = {}
    for style, (rights, chances) in sorted(style_choices(context.unseen).items()):
        if len(rights) >= FEWEST:
            results[style] = share(sum(rights), len(rights)) | {
                "chance": sum(chances) / len(chances)
            }
    if not results:
        context.report.say("No site draws untrained names in several styles: style is left out.")
        return {}
    named = {f"{{}} {style}".strip(): found for style, found in results.items()}
    context.report.table(
        ("prompt", "its own drawing first", "95 %", "chance", "n"),
        [(p, *share_cells(s), s["chance"], s["n"]) for p, s in named.items()],
    )
    context.report.say(
        "Where a site draws one name in several styles, the prompt with the name and a style is "
        "compared with these drawings only: does it rank the drawing of its style first? The "
        "pictures were not trained on. The prompt {} alone belongs to the drawing whose name tells "
        "no style."
    )
    context.report.figure(
        "styles.png",
        "How often a style word picks the drawing of its style among drawings of the same name. "
        "Chance is one over the number of these drawings.",
        plots.bars,
        {
            "its own drawing first": named,
            "chance": {
                p: dict.fromkeys(("value", "low", "high"), s["chance"]) for p, s in named.items()
            },
        },
        xlabel="share, with its 95 % interval",
    )
    return results


def senses(context):
    """Words with two meanings (polysemy): the nearest pictures to the word and to each meaning."""
    features, pairs, report = context.features, context.pairs, context.report
    gallery = Gallery(
        features.model, features.tokenizer, pairs, range(len(pairs)), pictures=features.images
    )
    queries = [query for word, meanings in SENSES.items() for query in (word, *meanings)]
    found = {query: [i for i, _ in gallery.search(query, NEAREST)] for query in queries}
    report.figure(
        "polysemy.png",
        f"The {NEAREST} pictures nearest to a word with two meanings (left) and to the word in "
        f"context (middle, right), among all {len(pairs):,} pictures, those trained on included. "
        "The word alone finds what the names in the training data mean by it.",
        draw_retrieval,
        gallery,
        queries,
        columns=NEAREST,
        queries_per_row=3,
    )
    trained = {name for i in pairs.splits["train"] for name in pairs.names(i)}
    report.table(
        ("word", "in context", "a name in training", "nearest to it"),
        [
            (
                word,
                query,
                "yes" if query in trained else "no",
                ", ".join(pairs.names(i)[0] for i in found[query][:3]),
            )
            for word, meanings in SENSES.items()
            for query in meanings
        ],
    )
    report.say(
        "The names of the three pictures nearest to the word in context. Training pictures have "
        "short names only, so context is understood as far as such names combine the words."
    )
    return {query: [pairs.names(i)[0] for i in own] for query, own in found.items()}
