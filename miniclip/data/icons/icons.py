"""Icons as pairs: training families, and the families that no model is trained on.

A family is all sets of icons whose drawings have one origin. A held-out combination is two words
that no training name holds together (families.py explains both). A picture is one pair with the
names that all sets give it. The splits:

    train            pictures that only training families have, and whose names hold no held-out
                     combination
    heldout_site     all pictures of the development families
    heldout_names    pictures that only training families have, and of which a name holds one of the
                     combinations that serve to choose settings

Nothing that is under seal is in a split. `pictures(under_seal=True)` opens the seal. Only
lessons/studies/sealed.py is allowed to do that, once the recipe is fixed. A test searches the
repository for any other file that does.
"""

import collections
import functools
import importlib.metadata
import sys

from PIL import Image
from tqdm import tqdm

from kernels.table import table
from miniclip.data import cache
from miniclip.data.dataset import Pairs
from miniclip.data.icons import drawing, families, iconify

LAYOUT = 1  # the version of the cache file's layout
# Development families of which the first released model, load("icons"), saw no drawing. That model
# learned from thirteen sets of fonts, packages called tkinter-icons-*, with Font Awesome held out.
NEW_TO_FIRST = ("fontawesome", "tabler", "heroicons")


class Icons(Pairs):
    """The icons as pairs.

    folder: the folder that holds the npm package of icons (iconify.py); None: the cache.
    drawn: the pictures to use instead of what `pictures` returns, in the same form.
    Raises UserError when the package is missing and cannot be fetched.

    owned: for each picture, a list of (set, name, style). homes: for each picture, the set of its
    families. inks: (n, 32, 32) uint8. tested: the families that evaluation asks about.
    """

    left_out = 0.3  # the share of captions with several words that lose a word (docs/icons.md)
    tested = families.DEVELOPMENT

    def __init__(self, folder=None, drawn=None):
        self.owned, self.inks = pictures(folder=folder) if drawn is None else drawn
        self.folder = folder
        self.packages = {} if drawn else versions()
        self.homes = [{families.family(set_) for set_, _, _ in own} for own in self.owned]
        captions = [
            dict.fromkeys(f"{name} {style}".strip() for _, name, style in own) for own in self.owned
        ]
        super().__init__("icons", captions, self._split())

    def image(self, i):
        """Picture i: 32 x 32, black on white, RGB."""
        return Image.fromarray(255 - self.inks[i]).convert("RGB")

    def caption(self, i, rng):
        """A caption of picture i: one of its names, half of the time with the style. A word may be
        left out."""
        own = self.owned[i]
        _, name, style = own[int(rng.integers(len(own)))]
        words = (f"{name} {style}".strip() if rng.integers(2) else name).split(" ")
        if len(words) > 1 and self.left_out and rng.random() < self.left_out:
            words.pop(int(rng.integers(len(words))))
        return " ".join(words)

    def names(self, i):
        """The names of picture i without style, each once: tuple of str."""
        return tuple(dict.fromkeys(name for _, name, _ in self.owned[i]))

    def where(self, i):
        """The set that picture i comes from, and the picture's first name there."""
        return f"{self.owned[i][0][0]}: {self.captions(i)[0]}"

    @functools.cached_property
    def credits(self) -> list[str]:
        """The lines of a table of the sets: whose work each set is, its licence, and how it is
        used."""
        rows = []
        for prefix, found in iconify.read(iconify.archive(self.folder)).items():
            family, info = families.family(prefix), found["info"]
            about = info["name"], info["author"]["name"], info["license"]["spdx"]
            count = f"{len(iconify.icons(found)):,}"
            rows.append((prefix, family, families.USED_FOR.get(family, "training"), count, *about))
        head = "set", "family", "used for", "icons", "name", "author", "licence"
        return table(head, rows).splitlines()

    @functools.cached_property
    def trained_names(self) -> set:
        """The names of all training pictures."""
        return {name for i in self.splits["train"] for name in self.names(i)}

    @functools.cached_property
    def trained_words(self) -> set:
        """The words of all training names and styles."""
        return {
            word
            for i in self.splits["train"]
            for caption in self.captions(i)
            for word in caption.split()
        }

    def _split(self):
        """The splits. This also sets self.combinations and self.sealed_combinations."""
        trained = {i for i, own in enumerate(self.homes) if own.isdisjoint(families.USED_FOR)}
        homes = collections.defaultdict(set)
        for i in trained:
            for name in self.names(i):
                homes[name] |= self.homes[i]
        self.combinations, self.sealed_combinations = families.held_out_combinations(homes)

        def holding(combinations):
            return {
                i
                for i in trained
                if any(families.holds(name, combinations) for name in self.names(i))
            }

        chosen_by = holding(self.combinations)
        return {
            "train": sorted(trained - chosen_by - holding(self.sealed_combinations)),
            "heldout_site": [
                i for i, own in enumerate(self.homes) if not own.isdisjoint(families.DEVELOPMENT)
            ],
            "heldout_names": sorted(chosen_by),
        }


def of_first_icons(packages: dict) -> bool:
    """Whether a run used the first set of icons (docs/icons/first/about.md), from packages that
    miniclip no longer reads. packages: Pairs.packages of the run."""
    return any(str(name).startswith("tkinter-icons-") for name in packages)


def versions() -> dict[str, str]:
    """{package: version} of the packages that the pictures depend on."""
    return {
        iconify.PACKAGE: iconify.VERSION,
        "resvg_py": importlib.metadata.version("resvg_py"),
    }


def pictures(under_seal=False, folder=None):
    """(for each picture a list of (set, name, style), ink (n, 32, 32) uint8), from the cache.

    The pictures are drawn if they are not in the cache yet. Raises UserError if a folder is given
    that does not hold the package, also if its pictures are in the cache.
    under_seal: whether to return the pictures of the sealed families, instead of those of all other
    families. folder: the folder that holds the npm package of icons; None: the cache.
    """
    if folder is not None:
        iconify.archive(folder)
    made_of = {
        "layout": LAYOUT,
        **versions(),
        "under_seal": under_seal,
        "families": [families.LINEAGES, families.SEALED],
    }
    captions, inks = cache.load_or_make(
        "icons", made_of, lambda: draw_all(under_seal, folder), "the drawings"
    )
    return captions, inks.reshape(-1, drawing.SIDE, drawing.SIDE)


def draw_all(under_seal, folder):
    """Draw what `pictures` returns."""
    wanted = [
        (prefix, icon)
        for prefix, found in iconify.read(iconify.archive(folder)).items()
        if (families.family(prefix) in families.SEALED) == under_seal
        for icon in iconify.icons(found)
    ]
    print(
        f"drawing {len(wanted):,} icons into {cache.folder()}, "
        f"{len(wanted) * drawing.SIDE**2 / 1e6:.0f} MB",
        file=sys.stderr,
    )
    return drawing.distinct(
        (drawing.draw(svg), [(prefix, *caption) for caption in captions])
        for prefix, (svg, captions) in tqdm(
            wanted, desc="drawing icons (once)", unit="", disable=None
        )
    )
