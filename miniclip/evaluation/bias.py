"""Class design and errors by group (CLIP, section 7.1).

A zero-shot classifier is defined by its list of class names. One more name, or another word for the
same class, changes which pictures are misclassified, often in one group more than in another. The
paper shows this with photographs of people. Here the groups are those that Unicode's names state:
the skin tone and the gender of a drawing. They are labels of drawings, not of people; a number says
how this model treats these drawings. The method carries over: count errors for each group, with
intervals, before and after the list of names changes.
Left out: groups that the name of a picture does not state, and which errors are harmful.
Lesson: lessons/16_shift.md.
"""

import re
from collections import Counter

import torch

from miniclip.evaluation.confidence import share
from miniclip.evaluation.data_overlap import base_emoji

# ways to write the list of names; {} is the base emoji ("firefighter", "rowing boat")
WORDINGS = {
    "name alone": ["{}"],
    "every name for a man": ["man {}"],
    "every name for a woman": ["woman {}"],
    "each class under all three": ["{}", "man {}", "woman {}"],
}
GENDERS = re.compile(r"\b(woman|man)\b")


def gender(names):
    """The gender that the names of one picture state: 'woman', 'man' or 'not stated'; 'both names'
    for a picture whose names differ in it."""
    stated = [set(GENDERS.findall(name)) or {"not stated"} for name in names]
    found = set().union(*stated)
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


def error_by_group(predicted, labels, groups):
    """Error rate of each group: {group: {'value', 'n', 'low', 'high'}} with Wilson's interval.

    predicted, labels: (n,) int; groups: n strings. Raises ValueError for another number of groups.
    """
    wrong = (torch.as_tensor(predicted) != torch.as_tensor(labels)).tolist()
    if len(wrong) != len(groups):
        raise ValueError(f"{len(groups)} groups do not go with {len(wrong)} predictions")
    errors = Counter(group for group, error in zip(groups, wrong) if error)
    return {group: share(errors[group], n) for group, n in sorted(Counter(groups).items())}


def merged(similarity, members):
    """Similarities to several names a class -> those to the best name of each class.

    similarity: (n, names); members: (names,) int, the class of each name -> (n, classes).
    """
    members = torch.as_tensor(members)
    columns = [similarity[:, members == c].amax(1) for c in range(int(members.max()) + 1)]
    return torch.stack(columns, 1)
