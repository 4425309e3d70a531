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
from miniclip.evaluation.unseen_site import TEMPLATES, correct, ink, with_names

QUESTIONS = ("known", "site", "combinations")
NEAR = 0.95
BLOCK = 1 << 12  # training pictures that are compared at a time: 279 MB of cosines with 17,000


def asked(pairs, indices) -> dict:
    """{question: (indices of the pictures that it is about, names, right (K, names) bool)}."""
    names = {name for i in indices for name in pairs.names(i)}
    known = names & pairs.trained_names
    joined = {name for name in names - known if pairs.trained_words.issuperset(name.split())}
    chosen = {"known": known, "site": names, "combinations": joined}
    found = {}
    for question, own in chosen.items():
        tests, right = with_names(pairs, indices, sorted(own))
        found[question] = tests, sorted(own), right
    return found


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


def zero_shot(scores_of, pairs, families, far=None) -> dict:
    """{family: {question: answers}}, of the split heldout_site; a question that no picture of a family
    can be asked is left out.

    scores_of: a function (indices, names) -> how well each name fits each picture, (K, names) fp32.
    far: the indices of the pictures without a near copy, a set, or None to leave that out.
    """
    found = {}
    for family in families:
        indices = [i for i in pairs.splits["heldout_site"] if family in pairs.homes[i]]
        found[family] = {
            question: answers(
                scores_of(tests, names), right, far and torch.tensor([i in far for i in tests])
            )
            for question, (tests, names, right) in asked(pairs, indices).items()
            if tests and len(names) > 1
        }
    return found


def scores_of(features, pairs, templates=TEMPLATES):
    """The function that zero_shot takes, of a model: features is its FeatureCache."""
    return lambda indices, names: features.scores(
        features.images(pairs, indices)[0], names, templates
    )


def closeness(pairs, indices) -> torch.Tensor:
    """The cosine of the raw pixels of each picture to those of the nearest training picture, (K,)."""
    tests = ink(pairs, indices)[0]
    nearest = torch.full((len(tests),), -1.0)
    for block in torch.tensor(pairs.splits["train"]).split(BLOCK):
        cosines = tests @ ink(pairs, block.tolist())[0].T
        nearest = torch.maximum(nearest, cosines.amax(1))
    return nearest


def combinations(scores_of, pairs) -> dict:
    """answers of the split heldout_names: pictures of training families whose name joins two words that
    no training name joins, among all such names."""
    tests, names, right = asked(pairs, pairs.splits["heldout_names"])["combinations"]
    return answers(scores_of(tests, names), right)


def write(context):
    """Section of the report: a table with a row for each family and question; EvalContext -> results."""
    report, pairs = context.report, context.pairs
    scores, tests = scores_of(context.features, pairs), pairs.splits["heldout_site"]
    far = {i for i, cosine in zip(tests, closeness(pairs, tests).tolist()) if cosine < NEAR}
    found = zero_shot(scores, pairs, pairs.held_out_sites, far)
    report.section("Zero-shot on families never trained on", "section 3.1")
    joined = {"training families": {"combinations held out": combinations(scores, pairs)}}
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
    return found | joined
