"""Zero-shot on families of icons that were never trained on (CLIP, section 3.1), asked in three ways.

Which name fits a picture? The three questions differ in the names to choose from:

    known           the names of the family that training captions also have
    site            all names of the family
    combinations    the new names of the family that are made of known words

Each question is asked about the pictures that have one of these names. For a picture with several
names, each of them is right. The scores of a question are top-1, the share of pictures
whose first answer is right; top-5, the share with a right name among the first five answers; and
macro, the mean of top-1 over the names, where a name of many pictures counts as much as any other.
Teams copy drawings from each other, so top-1 is also given without near copies. A near copy is a
picture whose raw pixels have a cosine of NEAR or more to a training picture (CLIP, section 5).
"""

import torch

from miniclip.evaluation.confidence import interval, wilson
from miniclip.evaluation.features import pixels

QUESTIONS = ("known", "site", "combinations")
TEMPLATES = ("{}", "{} filled", "{} outline")
NEAR = 0.95
SIDE = 16  # raw pixels are compared in pictures of SIDE x SIDE
BLOCK = 1 << 12  # training pictures compared at a time; cosines with 17,000 pictures take 279 MB


def with_names(pairs, indices, names):
    """The pictures that have a name among `names`: (their K indices, right (K, names) bool, which
    of the names each picture has). indices: the pictures to choose from."""
    column = {name: k for k, name in enumerate(names)}
    found = [
        (i, own)
        for i in indices
        if (own := [column[name] for name in pairs.names(i) if name in column])
    ]
    right = torch.zeros(len(found), len(names), dtype=torch.bool)
    for row, (_, own) in enumerate(found):
        right[row, own] = True
    return [i for i, _ in found], right


def correct(scores, right, k=1):
    """Whether one of the k names with the highest scores is right: (K,) bool. If there are fewer
    than k names, all of them count."""
    return right.gather(1, scores.topk(min(k, scores.shape[1]), dim=1).indices).any(1)


def ink(source, indices):
    """Raw pixels as unit vectors, black 1 and white 0: ((K, SIDE SIDE) fp32, K indices kept)."""
    rows, kept = [torch.zeros(0, SIDE * SIDE)], []
    for start in range(0, len(indices), BLOCK):  # pixels in colour take twelve times as much memory
        images, some = pixels(source, indices[start : start + BLOCK], SIDE)
        rows.append(torch.nn.functional.normalize(1 - images.mean(3).flatten(1), dim=1))
        kept += some
    return torch.cat(rows), kept


def nearest(vectors, known):
    """The known vector nearest to each of the unit vectors: (its cosine (K,) fp32, its row in
    `known` (K,) int64)."""
    parts = [(vectors @ block.T).max(1) for block in known.split(BLOCK)]
    cosines, part = torch.stack([own.values for own in parts]).max(0)
    rows = torch.stack([own.indices for own in parts]).gather(0, part[None])[0]
    return cosines, part * BLOCK + rows


def of_family(pairs, family):
    """The indices of the test pictures of a family."""
    return [i for i in pairs.splits["heldout_site"] if family in pairs.homes[i]]


def asked(pairs, indices) -> dict:
    """What each question asks about some pictures: {question: (the names to choose from, the K
    indices of the pictures that it is about, right (K, names) bool)}."""
    names = {name for i in indices for name in pairs.names(i)}
    known = names & pairs.trained_names
    joined = {name for name in names - known if pairs.trained_words.issuperset(name.split())}
    chosen = {"known": sorted(known), "site": sorted(names), "combinations": sorted(joined)}
    return {question: (own, *with_names(pairs, indices, own)) for question, own in chosen.items()}


def answers(scores, right, far=None) -> dict:
    """The answers to one question: {'top-1', 'top-5', 'macro', 'interval', 'n', 'classes', 'far'}.

    scores: (K, classes), how well each name fits each picture; right: (K, classes) bool, which
    names are right; far: (K,) bool, which pictures have no near copy. 'interval' is the 95 %
    interval of top-1 (Wilson). 'far' is top-1 of the pictures without a near copy, or None if there
    are none.
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
    """{question: answers} for some pictures. A question is left out if it is about none of the
    pictures, or if it has only one name to choose from.

    scores_of: a function (indices, names) -> how well each name fits each picture, (K, names) fp32.
    far: the set of the indices of the pictures without a near copy. If it is None, so is 'far'.
    """
    return {
        question: answers(
            scores_of(tests, names), right, far and torch.tensor([i in far for i in tests])
        )
        for question, (names, tests, right) in asked(pairs, indices).items()
        if tests and len(names) > 1
    }


def zero_shot(scores_of, pairs, families, far=None) -> dict:
    """{family: what `ask` returns for its pictures}."""
    return {family: ask(scores_of, pairs, of_family(pairs, family), far) for family in families}


def scores_of(features, pairs, templates=TEMPLATES):
    """A function that scores names with the model of a FeatureCache, (indices, names) -> (K, names)
    fp32. `ask` and zero_shot take it as their argument scores_of."""
    return lambda indices, names: features.scores(
        features.images(pairs, indices)[0], names, templates
    )


def closeness(pairs, indices) -> torch.Tensor:
    """(K,): the cosine of the raw pixels of each picture to the nearest training picture."""
    return nearest(ink(pairs, indices)[0], ink(pairs, pairs.splits["train"])[0])[0]


def combinations(scores_of, pairs):
    """What `answers` returns for the split heldout_names, or None if the split has no pictures. Its
    pictures are of training families, and their name joins two words that no training name joins.
    The model chooses among all such names."""
    return ask(scores_of, pairs, pairs.splits["heldout_names"]).get("combinations")


def mean(families, question, number="top-1"):
    """The mean over families of one number of a question, or None if no family was asked it.
    families: what `ask` returned for each."""
    values = [own[question][number] for own in families if question in own]
    return sum(values) / len(values) if values else None


def sentence(found):
    """What zero_shot returned, as one line of text."""
    means = ((question, mean(found.values(), question)) for question in QUESTIONS)
    said = ", ".join(f"{question} {share:.3f}" for question, share in means if share is not None)
    return f"zero-shot top-1, mean of {', '.join(found)}, never trained on: {said}"


def write(context):
    """The section: a table of the families and questions, and a table of the templates."""
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
        "Known: pictures with a name that training captions also have, among all such names of "
        "the family. Site: all pictures of the family, among all its names. Combinations: pictures "
        "with a new name that is made of known words, among all such names. In macro each name "
        "counts the same. Far is top-1 of the pictures that are no near copy of a training "
        f"picture: {len(far):,} of {len(tests):,}."
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
