"""Icons as pairs: names found on many sites, and one site that training never sees.

CLIP's claim is about pictures from places it never saw (CLIP, section 3.1). Font Awesome is that
place: no picture of it is trained on, nor one that another set shares with it. A name is a caption
without its style ("home", not "home outline"). The splits:

    train            pictures that only training sites have, without a held-out name
    heldout_site     all pictures of the sites held out
    heldout_names    pictures of the training sites with a held-out name: a tenth of the names that
                     Font Awesome lacks, chosen by their hash

While settings are chosen, `held_out_sites` is VALIDATION instead, and Font Awesome is in no split.
"""

import functools
import sys

from PIL import Image

from miniclip.common import refuse
from miniclip.data.dataset import Pairs, is_held_out
from miniclip.data.icons import render, sets

TEST = ("fontawesome",)
VALIDATION = ("ionicons", "eva")


class Drawn(Pairs):
    """Drawings with the names that sets give them, as pairs; what the icons and the web share.

    owned: [[(set, name, style), ...] of each picture]; inks: (n, S, S) uint8. A subclass defines
    _split, which gives the splits.
    """

    def __init__(self, name, owned, inks):
        self.owned, self.inks = owned, inks
        captions = [
            dict.fromkeys(f"{name} {style}".strip() for _, name, style in own) for own in owned
        ]
        super().__init__(name, captions, self._split())

    def image(self, i):
        """Picture i: S x S, black on white, RGB."""
        return self.load_downscaled(i, None).convert("RGB")

    def load_downscaled(self, i, side):
        return Image.fromarray(255 - self.inks[i])

    def caption(self, i, rng):
        """One of the names of picture i, in half of the epochs with its style."""
        own = self.owned[i]
        _, name, style = own[int(rng.integers(len(own)))]
        return f"{name} {style}".strip() if rng.integers(2) else name

    def names(self, i):
        """The names of picture i without style, each once: tuple of str."""
        return tuple(dict.fromkeys(name for _, name, _ in self.owned[i]))

    def where(self, i):
        """The site of picture i, and its first name there."""
        site, name, style = self.owned[i][0]
        return f"{site}: {name} {style}".strip()

    @functools.cached_property
    def shared_names(self):
        """The names that pictures of the sites held out share with the training pictures, sorted."""
        trained, held = (
            {name for i in self.splits[split] for name in self.names(i)}
            for split in ("train", "heldout_site")
        )
        return tuple(sorted(trained & held))


class Icons(Drawn):
    """The icons. sites: those to train on (default: all others than Font Awesome and the next).

    held_out_sites: the sites of the split heldout_site. drawn: what render.pictures returns, instead of
    it. Raises UserError for an unknown site, or one that is on both sides.
    """

    def __init__(self, sites=None, held_out_sites=TEST, drawn=None):
        others = [s for s in sets.SETS if s not in {*TEST, *held_out_sites}]
        sites = others if sites is None else list(sites)
        known, held_out = ", ".join(sets.SETS), {*held_out_sites, *TEST}
        for site in (*sites, *held_out_sites):
            refuse({f"there is no icon set {site!r}; there are {known}": site not in sets.SETS})
        for site in sites:
            refuse({f"{site} is held out, so it cannot be trained on": site in held_out})
        owned, inks = render.pictures() if drawn is None else drawn
        self.packages = sets.versions() if drawn is None else {}
        if drawn is None and (others := sets.newer()):
            print(others, file=sys.stderr)
        self.sites, self.held_out_sites = tuple(sites), tuple(held_out_sites)
        super().__init__("icons", owned, inks)

    def _split(self):
        known = {name for own in self.owned for site, name, _ in own if site in TEST}
        splits = {"train": [], "heldout_site": [], "heldout_names": []}
        for i, own in enumerate(self.owned):
            if any(site in self.held_out_sites for site, _, _ in own):
                splits["heldout_site"].append(i)
            elif all(site in self.sites for site, _, _ in own):
                new = any(name not in known and is_held_out(name) for _, name, _ in own)
                splits["heldout_names" if new else "train"].append(i)
        return splits
