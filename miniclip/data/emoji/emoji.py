"""The built-in pairs: Unicode's 3,944 names of emoji, and OpenMoji's 3,722 pictures for them.

One picture is one pair. The names that share a picture, such as the flags of Norway, Svalbard and
Bouvet Island, are its captions. The hash of the picture in emoji.tsv decides whether a pair is held
out. Therefore the splits are the same on every machine, with every renderer and in every order, and
no picture is in two splits. The tenth that is held out has two parts:

    compositions   pictures with a skin tone or a joiner, if every word of every name of the picture
                   also occurs in a name of the training split: only the combination is new
    concepts       all other held-out pictures: either a single thing, or one whose name has a word
                   that does not occur in training

Left out: Unicode's components (a lone skin tone), and what OpenMoji draws beyond Unicode, which has
no Unicode name.
"""

import collections
import csv
import json
import re
from pathlib import Path

from PIL import Image

from miniclip.data.dataset import HELD_OUT_ONE_IN, Pairs, words
from miniclip.data.emoji import drawings, names

WORDLIKE = re.compile(r"[\w’' -]*[^\W\d_][\w’' -]*")  # has a letter, and no sign but these
TYPED = ("a red heart", "flag of Japan", "dark skin tone woman firefighter", "an animal")


def read_table() -> list[dict]:
    """emoji.tsv as a list of dicts with the keys codes, name, group, subgroup and picture."""
    with open(Path(__file__).with_name("emoji.tsv"), encoding="utf-8", newline="") as file:
        return list(csv.DictReader((x for x in file if not x.startswith("#")), delimiter="\t"))


def split(pictures) -> dict[str, list[int]]:
    """The splits, {name: indices}. pictures: for each picture, its rows in the table."""
    held = [
        i for i, own in enumerate(pictures) if int(own[0]["picture"], 16) % HELD_OUT_ONE_IN == 0
    ]
    train = sorted({*range(len(pictures))} - {*held})
    seen = {word for i in train for row in pictures[i] for word in words(row["name"])}

    def is_composition(rows):
        known = all(word in seen for row in rows for word in words(row["name"]))
        # 200D joins code points
        return known and any(names.parts(r["name"])[2] or "200D" in r["codes"] for r in rows)

    compositions = [i for i in held if is_composition(pictures[i])]
    concepts = sorted({*held} - {*compositions})
    return {"train": train, "heldout_compositions": compositions, "heldout_concepts": concepts}


def read_keywords() -> dict[str, tuple]:
    """{name without tone: (keyword, ...)} from the package em-keyboard, which is not imported.

    Keywords that say nothing beyond the name, and keywords that are not words (":d"), are left out.
    """
    path = drawings.package_files("em-keyboard", ".json")["emojis"]
    lists = json.loads(path.read_text(encoding="utf-8"))
    lists = {drawings.without_fe0f(f"{ord(c):04X}" for c in emoji): k for emoji, k in lists.items()}
    found = {}
    for row in read_table():
        name, said = row["name"], {*words(row["name"])}
        # the first keyword is the name
        texts = [k.replace("_", " ").strip() for k in lists.get(row["codes"], [])[1:]]
        own = [t for t in texts if WORDLIKE.fullmatch(t) and not {*words(t)} <= said]
        if own and names.without_tone(name) == name:
            found[name] = tuple(dict.fromkeys(own))
    return found


class Emoji(Pairs):
    """The emoji that come with miniclip, as pairs."""

    class_names = tuple(names.CLASSES)

    def __init__(self):
        grouped = collections.defaultdict(list)
        for row in read_table():
            grouped[row["picture"]].append(row)
        self.rows = list(grouped.values())
        said = [[row["name"] for row in rows] for rows in self.rows]
        super().__init__("emoji", said, split(self.rows))
        self._pictures = drawings.pictures([rows[0]["codes"] for rows in self.rows])
        keywords = read_keywords()
        self._sayings = [  # for each picture: (name, other ways to say it, keywords) of each name
            [(n, names.variants(n), keywords.get(names.without_tone(n), ())) for n in own]
            for own in said
        ]

    def image(self, i):
        """Picture i: 64 x 64, RGB, on white."""
        return Image.fromarray(self._pictures[i])

    def caption(self, i, rng):
        """The caption of picture i in one epoch: one of its names, varied by names.vary."""
        own = self._sayings[i]
        return names.vary(*own[int(rng.integers(len(own))) if len(own) > 1 else 0], rng)

    def queries(self, split, k=8):
        """Texts that a person would type, with None for the picture, and then captions of the
        split."""
        typed = TYPED[: k // 2]
        texts, answers = super().queries(split, k - len(typed))
        return [*typed, *texts], [*[None] * len(typed), *answers]

    def gallery(self, split):
        """All pictures, whatever the split. Among the held-out pictures alone, few differ only in
        their skin tones, so retrieval would seldom have to tell skin tones apart."""
        return list(range(len(self)))

    def tones(self, i):
        """The skin tones in the canonical name of picture i, in order: tuple of str."""
        return names.parts(self._captions[i][0])[2]

    def label(self, i):
        """The class of picture i as a position in class_names, or -1 for no class (names.py)."""
        return names.label_of(self.rows[i])

    def tone_blind_oracle(self, indices):
        """Text-to-image recall of a model that makes no mistake but cannot see skin tone.

        Every caption of pairs[indices] is a query, and all pictures are compared with it. The
        pictures whose names differ from the query only in the tone share the first place, in random
        order. So the right picture is among the first k with probability min(1, k / the number of
        pictures that share the first place), and the expected R@k is the mean of this over queries.
        Returns {"R@1", ..., "n": the number of queries, "gallery": the number of pictures}.
        """
        # {name without tone: how many pictures have it}
        bases = collections.Counter(
            base for own in self._captions for base in {names.without_tone(name) for name in own}
        )
        ties = [bases[names.without_tone(name)] for i in indices for name in self._captions[i]]
        return {
            **{f"R@{k}": sum(min(1, k / t) for t in ties) / max(1, len(ties)) for k in (1, 5, 10)},
            "n": len(ties),
            "gallery": len(self),
        }
