"""Class design and who pays for it (CLIP, section 7.1).

A zero-shot classifier is whatever its list of names makes it: one more name, or another word for the
same thing, moves errors about, and rarely evenly. The paper showed it with photographs of people; here
the groups are those that Unicode's names state: the skin tone and the gender that a drawing was given.
They are labels of drawings, not of people, and a number here says how this model treats these
drawings, nothing about anybody. What carries over is the method: count errors for each group, with
intervals, before and after the list of names changes.
Left out: groups that a picture does not state, and any judgement of which error is harmful.
"""

import re

import torch

from miniclip.evaluation.confidence import share

# ways to write the list of names; {} is the base emoji ("firefighter", "rowing boat")
WORDINGS = {
    "name alone": ["{}"],
    "every name for a man": ["man {}"],
    "every name for a woman": ["woman {}"],
    "each class under all three": ["{}", "man {}", "woman {}"],
}


def gender(names):
    """'woman', 'man', 'both names' (one drawing has several) or 'not stated', from all the names of a
    picture."""
    said = {m[0] for name in names for m in re.finditer(r"\b(woman|man)\b", name)}
    neutral = any(not re.search(r"\b(woman|man)\b", name) for name in names)
    if said and (neutral or len(said) > 1):
        return "both names"
    return said.pop() if said else "not stated"


def people(pairs, base_emoji):
    """The held-out compositions whose base emoji is drawn both as a woman and as a man: (indices, base
    names of the classes, labels (n,) int64, genders, tones); the last two are lists of n groups."""
    drawn = {}
    for i in range(len(pairs)):
        for name in pairs.captions(i):
            drawn.setdefault(base_emoji(name), set()).add(gender([name]))
    both = {base for base, genders in drawn.items() if {"woman", "man"} <= genders}
    indices = [i for i in pairs.splits["heldout_compositions"]
               if base_emoji(pairs.captions(i)[0]) in both]  # fmt: skip
    bases = [base_emoji(pairs.captions(i)[0]) for i in indices]
    names = sorted(set(bases))
    labels = torch.tensor([names.index(base) for base in bases], dtype=torch.long)
    tones = [(*pairs.tones(i), "no tone stated")[0] if len(pairs.tones(i)) < 2 else "two tones"
             for i in indices]  # fmt: skip
    return indices, names, labels, [gender(pairs.captions(i)) for i in indices], tones


def error_by_group(predicted, labels, groups):
    """Error rate of each group: {group: {'value', 'n', 'low', 'high'}} with Wilson's interval.

    predicted, labels: (n,) int; groups: n strings. Raises ValueError when they are not as many.
    """
    wrong = (torch.as_tensor(predicted) != torch.as_tensor(labels)).tolist()
    if len(wrong) != len(groups):
        raise ValueError(f"{len(groups)} groups do not go with {len(wrong)} predictions")
    result = {}
    for group in sorted(set(groups)):
        own = [w for w, g in zip(wrong, groups) if g == group]
        result[group] = share(sum(own), len(own))
    return result


def merged(similarity, members):
    """Similarities (n, names) with several names for one class, made (n, classes) by the best name.

    members: for each name the class it stands for, (names,) int.
    """
    members = torch.as_tensor(members)
    columns = [similarity[:, members == c].amax(1) for c in range(int(members.max()) + 1)]
    return torch.stack(columns, 1)
