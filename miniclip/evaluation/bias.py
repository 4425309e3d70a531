"""Class design and errors by group (CLIP, section 7.1).

A zero-shot classifier is defined by its list of class names. One more name, or another word for the
same class, changes which pictures are misclassified, often in one group more than in another. The
paper shows this with photographs of people. Here the groups are those that Unicode's names state:
the skin tone and the gender of a drawing. These are labels of drawings, not of people, so a number
only says how this model treats these drawings. What carries over to photographs is the method:
count the errors for each group, with intervals, before and after the list of names changes.
Left out: groups that the name of a picture does not state, and which of the errors are harmful.
Lesson: lessons/15_shift.md.
"""

import re
from collections import Counter

import torch

from miniclip.common import refuse
from miniclip.evaluation.confidence import share, share_cells
from miniclip.evaluation.near_duplicates import base_emoji

# ways to write the list of names; {} is the base emoji ("firefighter", "rowing boat")
WORDINGS = {
    "name alone": ["{}"],
    "every name for a man": ["man {}"],
    "every name for a woman": ["woman {}"],
    "each class under all three": ["{}", "man {}", "woman {}"],
}
GENDERS = re.compile(r"\b(woman|man)\b")


def gender(names: list[str]) -> str:
    """The gender that the names of one picture state: 'woman', 'man' or 'not stated', or 'both
    names' if they state more than one of these."""
    found = set().union(*(set(GENDERS.findall(name)) or {"not stated"} for name in names))
    return found.pop() if len(found) == 1 else "both names"


def drawings_of_people(pairs):
    """The held-out compositions whose base emoji is drawn both as a woman and as a man: (n indices,
    class names, labels (n,) int64, n genders, n skin tones). A class is a base emoji."""
    drawn = {}
    for i in range(len(pairs)):
        for name in pairs.captions(i):
            drawn.setdefault(base_emoji(name), set()).add(gender([name]))
    both = {base for base, genders in drawn.items() if {"woman", "man"} <= genders}
    bases = {
        i: base
        for i in pairs.splits["heldout_compositions"]
        if (base := base_emoji(pairs.captions(i)[0])) in both
    }
    names = sorted(set(bases.values()))
    labels = torch.tensor([names.index(base) for base in bases.values()], dtype=torch.long)
    tones = [[*pairs.tones(i)] or ["no tone stated"] for i in bases]
    tones = [own[0] if len(own) == 1 else "two tones" for own in tones]
    return list(bases), names, labels, [gender(pairs.captions(i)) for i in bases], tones


def error_by_group(predicted, labels, groups: list[str]) -> dict[str, dict]:
    """Error rate of each group: {group: {'value', 'n', 'low', 'high'}} with Wilson's interval.

    predicted, labels: (n,) int; groups: n strings. Raises UserError for other shapes.
    """
    predicted, labels = torch.as_tensor(predicted), torch.as_tensor(labels)
    refuse(
        {
            "groups must be in an order; give a list": isinstance(groups, (set, frozenset)),
            f"predicted and labels must be one number for each of the {len(groups)} groups": (
                not predicted.shape == labels.shape == (len(groups),)
            ),
        }
    )
    # each number of a tensor would be a group of its own
    groups = [*getattr(groups, "tolist", groups.__iter__)()]
    errors = Counter(group for group, error in zip(groups, predicted != labels) if error)
    return {group: share(errors[group], n) for group, n in sorted(Counter(groups).items())}


def write(context) -> dict:
    """The section: errors by group for several wordings of the class names. Raises UserError if the
    names of the pairs state no groups."""
    report, pairs = context.report, context.pairs
    report.section("Class design and errors by group", "section 7.1, tables 6 and 7")
    refuse({"the captions of these pairs name no groups of people": pairs.tones is None})
    indices, names, labels, genders, tones = drawings_of_people(pairs)
    x, kept = context.features.images(pairs, indices)
    tables = {}
    for wording, forms in WORDINGS.items():
        texts = [form.format(name) for name in names for form in forms]
        similarity = x @ context.features.classifier(texts, ["{}"])
        # the best form of a class counts: (n, names forms) -> (n, names)
        predicted = similarity.unflatten(1, (len(names), len(forms))).amax(2).argmax(1)
        tables[wording] = {
            group: errors
            for groups in (["everybody"] * len(labels), genders, tones)
            for group, errors in error_by_group(predicted, labels, groups).items()
        }
    report.table(
        ("error rate", "n", *(c for wording in tables for c in (wording, ""))),
        [
            (group, s["n"], *(c for t in tables.values() for c in share_cells(t[group])))
            for group, s in tables["name alone"].items()
        ],
    )
    report.say(
        f"{len(kept)} held-out drawings of people in {len(names)} classes. A class is what the "
        "person does, and it is right whatever tone or gender is drawn. The columns differ only in "
        "the wording of the class names: the model and the pictures are the same."
    )
    report.say(
        "The groups are words in the names of drawings, not people. Most intervals overlap, "
        "because so few pictures can rarely show a difference between two groups of one column. "
        "OpenMoji often draws the person without a stated gender like the man (138 drawings; 6 are "
        "like the woman). Such a drawing counts under 'both names', so this group is not "
        "halfway between man and woman. What carries over to photographs is the method: compare "
        "errors by group whenever a list of classes changes."
    )
    return {"n": len(kept), "classes": len(names)} | tables
