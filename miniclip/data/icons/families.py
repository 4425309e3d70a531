"""Families of icons: who drew what, which families choose settings, and which are under seal.

A family is a lineage of drawings. All versions of Font Awesome are one, with Line Awesome, which
redraws it; so are Ionicons and Famicons. A model that was trained on one member knows the others.

    development    settings are chosen by their accuracies. Font Awesome, Ionicons, Eva, Bootstrap and
                   Typicons were known from before; Tabler and Heroicons were added
    sealed         nobody looks at them until the recipe is fixed. Drawn on 2026-11-27, before any model
                   was trained on these data, by a rule: int(sha256(family), 16) % 5 == 0, without the
                   families above and without those of flags, brands and colours, which are left out
    training       all others

No model is trained on a family of the first two kinds. Held-out combinations are two words that a
training name joins, such as "cloud" and "lock": a picture with any name that holds both words, in any
order, is not trained on. Of them 500 choose settings, and 1,000 are under seal.
"""

import itertools
from collections import Counter, defaultdict

from miniclip.data.dataset import text_hash

# sets that are not a family of their own: {family: its sets}. Families have the name of a set otherwise
LINEAGES = {
    "fontawesome": "fa fa-regular fa-solid fa6-regular fa6-solid fa7-regular fa7-solid la".split(),
    "ionicons": ["ion", "famicons"],
    "heroicons": "heroicons heroicons-outline heroicons-solid sidekickicons".split(),
    "google": "ic material-symbols material-symbols-light mdi mdi-light".split(),
    "feather": ["feather", "lucide", "lucide-lab"],
    "fluent": ["fluent", "fluent-mdl2"],
    "emoji": ["emojione-monotone", "fluent-emoji-high-contrast"],
    "boxicons": ["bx", "bxs", "boxicons"],
    "unicons": ["uil", "uim", "uis", "uit"],
    "mono": ["mi", "mono-icons"],
    "mynaui": ["mynaui", "vadivam"],
    "glyphs": ["glyphs", "glyphs-poly"],
    "icon-park": "icon-park icon-park-outline icon-park-solid icon-park-twotone".split(),
    "pepicons": "pepicons pepicons-pencil pepicons-pop pepicons-print".split(),
    "streamline": """streamline streamline-block streamline-cyber streamline-flex streamline-freehand
        streamline-guidance streamline-pixel streamline-plump streamline-sharp streamline-ultimate
        guidance covid""".split(),
}
FAMILY = {prefix: family for family, sets in LINEAGES.items() for prefix in sets}
DEVELOPMENT = ("fontawesome", "tabler", "ionicons", "eva", "bi", "typcn", "heroicons")
SEALED = tuple(
    """cil cuida eos-icons ep gis glyphs icon-park iconamoon lets-icons line-md lineicons map oi oui
    pajamas pepicons ph pinhead pixel qlementine-icons simple-line-icons solar streamline websymbol
    whh zondicons""".split()
)
# all other families are used for training
USED_FOR = dict.fromkeys(DEVELOPMENT, "development") | dict.fromkeys(SEALED, "sealed")
# how many other training names, and how many families, must have a held-out word
FEWEST_NAMES, FEWEST_FAMILIES = 5, 3
SAME = {"plus": "add", "slash": "off", "minus": "remove"}  # words that mean the same on icons
COMBINATIONS = 500, 1000  # to choose settings by, and under seal


def family(prefix: str) -> str:
    """The family of a set."""
    return FAMILY.get(prefix, prefix)


def meanings(name: str) -> set:
    """The words of a name; of words that mean the same on icons, the first of SAME."""
    return {SAME.get(word, word) for word in name.split()}


def held_out_combinations(names: dict) -> tuple[set, set]:
    """Pairs of words that no training caption may hold together: (development, sealed), sets of
    frozensets of two words.

    names: {name: its training families}. Candidates are the names of two words of which each occurs
    in FEWEST_NAMES other names, and in FEWEST_FAMILIES families. They are chosen by their hash.
    """
    counted, homes, pairs = Counter(), defaultdict(set), set()
    for name, families in names.items():
        words = meanings(name)
        counted.update(words)
        for word in words:
            homes[word] |= families
        if len(words) == len(name.split()) == 2 and all(w.isalpha() and w[1:] for w in words):
            pairs.add(frozenset(words))
    common = {
        word
        for word, count in counted.items()
        if count > FEWEST_NAMES and len(homes[word]) >= FEWEST_FAMILIES
    }
    ordered = sorted(
        filter(common.issuperset, pairs), key=lambda pair: text_hash(" ".join(sorted(pair)))
    )
    development, sealed = COMBINATIONS
    return set(ordered[:development]), set(ordered[development : development + sealed])


def holds(name: str, combinations: set) -> bool:
    """Whether a name has both words of a combination, in any order, as synonyms, or glued to one."""
    words = meanings(name)
    if any(frozenset(pair) in combinations for pair in itertools.combinations(words, 2)):
        return True
    return any(
        frozenset((SAME.get(word[:k], word[:k]), SAME.get(word[k:], word[k:]))) in combinations
        for word in words
        for k in range(2, len(word) - 1)
    )
