"""Drawings in the place of the icon sets: a few names that several sites draw, made from numbers."""

import numpy as np

NAMES = ("anchor", "bell", "cloud", "drum", "eye", "flag", "gear", "heart")
STYLES = {
    "google": ("", "outlined"),
    "fluent": ("regular", "filled"),
    "remix": ("line", "fill"),
    "material": ("", "outline"),
    "lucide": ("",),
    "fontawesome": ("", "regular"),
}


def drawn(names=NAMES, noise=40):
    """What render.pictures returns: ([[(site, name, style)] per picture], inks (n, 64, 64) uint8).

    A name is a pattern of 8 x 8 blocks; a site's style of it has its own noise.
    """
    owned, inks = [], []
    for k, name in enumerate(names):
        blocks = np.random.default_rng(k).integers(2, size=(8, 8)) * (255 - noise)
        for site, styles in STYLES.items():
            for style in styles:
                rng = np.random.default_rng((k, len(inks)))
                owned.append([(site, name, style)])
                inks.append(
                    np.kron(blocks, np.ones((8, 8))) + rng.integers(noise + 1, size=(64, 64))
                )
    return owned, np.stack(inks).astype(np.uint8)
