"""Zero-shot on families of icons that were never trained on (CLIP, section 3.1), asked in three ways.

    known           pictures with a name that training captions have, among all such names of the family
    site            all pictures of the family, among all its names
    combinations    pictures whose names are new, but whose words are known, among all such names

Of each question: the share of pictures for which the first answer is right (top-1), or one of the
first five (top-5), and the mean over names of the first (macro), in which a name of many pictures
counts as much as any other. A picture with several names is right by any of them. Drawings are copied
among teams, so top-1 is also given without near copies: pictures whose raw pixels have a cosine of NEAR
or more to a training picture (CLIP, section 5).
"""

import torch

from miniclip.evaluation.confidence import interval, wilson
from miniclip.evaluation.features import pixels

QUESTIONS = ("known", "site", "combinations")
TEMPLATES = ("{}", "{} filled", "{} outline")
NEAR = 0.95
SIDE = 16  # pixels of a side, where raw pixels are compared
BLOCK = 1 << 12  # training pictures that are compared at a time: 279 MB of cosines with 17,000


def with_names(pairs, indices, names):
    """Those of some pictures that have a name among `names`: (indices, right (K, names) bool)."""
    column = {name: k for k, name in enumerate(names)}
    found = [(i, [column[n] for n in pairs.names(i) if n in column]) for i in indices]
    found = [(i, own) for i, own in found if own]
    right = torch.zeros(len(found), len(names), dtype=torch.bool)
    for row, (_, own) in enumerate(found):
        right[row, own] = True
    return [i for i, _ in found], right


def correct(scores, right, k=1):
    """Whether one of the k names with the highest scores is right: (K,) bool; of all, if fewer."""
    return right.gather(1, scores.topk(min(k, scores.shape[1]), dim=1).indices).any(1)


def ink(source, indices):
    """Raw pixels as unit vectors, black 1 and white 0: ((K, SIDE SIDE) fp32, K indices kept)."""
    rows, kept = [torch.zeros(0, SIDE * SIDE)], []
    for start in range(0, len(indices), BLOCK):  # their colours take twelve times as much
        images, some = pixels(source, indices[start : start + BLOCK], SIDE)
        rows.append(torch.nn.functional.normalize(1 - images.mean(3).flatten(1), dim=1))
        kept += some
    return torch.cat(rows), kept


def nearest(vectors, known):
    """Of each unit vector the nearest known one: (its cosine (K,) fp32, its row in `known` (K,) int64)."""
    parts = [(vectors @ block.T).max(1) for block in known.split(BLOCK)]
    cosines, part = torch.stack([own.values for own in parts]).max(0)
    rows = torch.stack([own.indices for own in parts]).gather(0, part[None])[0]
    return cosines, part * BLOCK + rows


def of_family(pairs, family):
    """The indices of the pictures of a family that is tested on."""
    return [i for i in pairs.splits["heldout_site"] if family in pairs.homes[i]]


def asked(pairs, indices) -> dict:
    """{question: (names, indices of the pictures that it is about, right (K, names) bool)}."""
    names = {name for i in indices for name in pairs.names(i)}
    known = names & pairs.trained_names
    joined = {name for name in names - known if pairs.trained_words.issuperset(name.split())}
    chosen = {"known": sorted(known), "site": sorted(names), "combinations": sorted(joined)}
    return {question: (own, *with_names(pairs, indices, own)) for question, own in chosen.items()}


def answers(scores, right, far=None) -> dict:
    """{'top-1', 'top-5', 'macro', 'interval', 'n', 'classes', 'far'} of scores (K, classes), of which
    those that `right` marks are right answers; the interval is that of top-1 (Wilson, 95 %).

    far: which pictures have no near copy, (K,) bool; 'far' is top-1 of these, None where there are none.
    """
    first, five = (correct(scores, right, k) for k in (1, 5))
    weight = right / right.sum(0).clamp(min=1)
    return {
        "top-1": first.float().mean().item(),
        "top-5": five.float().mean().item(),
        "macro": (weight * first[:, None]).sum().item() / len(right[0]),
        "interval": wilson(int(first.sum()), len(first)),
        "n": len(first),
        "classes": len(right[0]),
        "far": None if far is None or not far.any() else first[far].float().mean().item(),
    }


def ask(scores_of, pairs, indices, far=None) -> dict:
    """{question: answers} of some pictures; a question that none of them can be asked is left out.

    scores_of: a function (indices, names) -> how well each name fits each picture, (K, names) fp32.
    far: the indices of the pictures without a near copy, a set, or None to leave that out.
    """
    return {
        question: answers(
            scores_of(tests, names), right, far and torch.tensor([i in far for i in tests])
        )
        for question, (names, tests, right) in asked(pairs, indices).items()
        if tests and len(names) > 1
    }


def zero_shot(scores_of, pairs, families, far=None) -> dict:
    """{family: what `ask` gives of its pictures}."""
    return {family: ask(scores_of, pairs, of_family(pairs, family), far) for family in families}


def scores_of(features, pairs, templates=TEMPLATES):
    """The function that zero_shot takes, of a model: features is its FeatureCache."""
    return lambda indices, names: features.scores(
        features.images(pairs, indices)[0], names, templates
    )


def closeness(pairs, indices) -> torch.Tensor:
    """The cosine of the raw pixels of each picture to those of the nearest training picture, (K,)."""
    return nearest(ink(pairs, indices)[0], ink(pairs, pairs.splits["train"])[0])[0]


def combinations(scores_of, pairs):
    """answers of the split heldout_names: pictures of training families whose name joins two words that
    no training name joins, among all such names; None where there are none."""
    return ask(scores_of, pairs, pairs.splits["heldout_names"]).get("combinations")


def mean(families, question, number="top-1"):
    """The mean over families, what zero_shot found of each, of a number; None where none can be asked."""
    values = [own[question][number] for own in families if question in own]
    return sum(values) / len(values) if values else None


def sentence(found):
    """What zero_shot found, as one line."""
    means = ((question, mean(found.values(), question)) for question in QUESTIONS)
    said = ", ".join(f"{question} {share:.3f}" for question, share in means if share is not None)
    return f"zero-shot top-1, mean of {', '.join(found)}, never trained on: {said}"


def write(context):
    """Section of the report: a table with a row for each family and question, and one of the templates;
    EvalContext -> results."""
    report, pairs, templates = context.report, context.pairs, context.templates
    scores = scores_of(context.features, pairs, templates)
    tests = sorted({i for family in pairs.tested for i in of_family(pairs, family)})
    far = {i for i, cosine in zip(tests, closeness(pairs, tests).tolist()) if cosine < NEAR}
    found = zero_shot(scores, pairs, pairs.tested, far)
    report.section("Zero-shot on families that are held out", "section 3.1")
    held_out = combinations(scores, pairs)
    joined = {"training families": {"combinations held out": held_out}} if held_out else {}
    rows = [
        (family, question, own["top-1"], interval(*own["interval"]), own["top-5"], own["macro"])
        + (own["far"], own["n"], own["classes"])
        for family, asked in (found | joined).items()
        for question, own in asked.items()
    ]
    report.table(
        ("family", "question", "top-1", "95 %", "top-5", "macro", "far", "n", "names"), rows
    )
    report.say(
        "Known: pictures with a name that training captions have, among all such names of the family. "
        "Site: all its pictures among all its names. Combinations: new names of known words, among "
        "all such names. In macro each name counts the same. Far is top-1 of the pictures that are no "
        f"near copy of a training picture: {len(far):,} of {len(tests):,}."
    )
    alone = {
        template: zero_shot(scores_of(context.features, pairs, (template,)), pairs, pairs.tested)
        for template in templates
    }
    report.table(
        ("template, mean of the families", *QUESTIONS),
        [
            (prompt, *(mean(own.values(), question) for question in QUESTIONS))
            for prompt, own in (alone | {"all of them": found}).items()
        ],
    )
    return found | joined
