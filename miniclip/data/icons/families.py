"""Families of icons: who drew what, which serve to choose settings, and which are under seal.

A family is a lineage of drawings. For example, all versions of Font Awesome are one family,
together with Line Awesome, which redraws Font Awesome. Ionicons and Famicons are one family too. A
model that was trained on one member of a family knows the others. There are three kinds of
families:

    development    settings are chosen by the accuracies on these families. Font Awesome, Ionicons,
                   Eva, Bootstrap and Typicons were already in the first set of icons
                   (docs/icons/first/about.md); Tabler and Heroicons were added
    sealed         nobody looks at these families until the recipe is fixed. They were chosen on
                   2026-11-27, before any model was trained on these data, by the rule
                   int(sha256(family), 16) % 5 == 0. The rule skips the families of development, and
                   the families of flags, brands and colours, which are not used at all
    training       all other families

No model is trained on a development family or a sealed family. There are also held-out
combinations: two words that occur together in a training name, such as "cloud" and "lock". A
picture is not trained on if one of its names holds both words, in any order. 500 combinations serve
to choose settings, and 1,000 others are under seal.
"""

import itertools
from collections import Counter, defaultdict

from miniclip.data.dataset import text_hash

# {family: its sets} for families of several sets. Any other set is a family of the same name
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
# a held-out word must occur in so many other training names, and in so many families
FEWEST_NAMES, FEWEST_FAMILIES = 5, 3
SAME = {"plus": "add", "slash": "off", "minus": "remove"}  # {word: a word of the same meaning}
COMBINATIONS = 500, 1000  # how many serve to choose settings, and how many are under seal


def family(prefix: str) -> str:
    """The family of a set."""
    return FAMILY.get(prefix, prefix)


def meanings(name: str) -> set:
    """The words of a name, in which each key of SAME is replaced by its value."""
    return {SAME.get(word, word) for word in name.split()}


def held_out_combinations(names: dict) -> tuple[set, set]:
    """Choose combinations of two words to hold out: (development, sealed), two sets.

    Pictures with a name that holds both words of a combination are left out of the training. The
    first set serves to choose settings, and the second stays under seal. Each pair is a
    frozenset of two words. names: {name of an icon: the training families that have an icon of this
    name}. The candidates are names of two words. Each of the words must occur in at least
    FEWEST_NAMES other names and in at least FEWEST_FAMILIES families. A hash decides which
    candidates are chosen.
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
    """Whether a name has both words of a combination. The words may be in any order, may be
    replaced by a word of the same meaning (SAME), and may be written together as one word."""
    words = meanings(name)
    halves = ((word[:k], word[k:]) for word in words for k in range(2, len(word) - 1))
    return any(
        frozenset((SAME.get(first, first), SAME.get(second, second))) in combinations
        for first, second in itertools.chain(itertools.combinations(words, 2), halves)
    )
