"""Icons without their package: pictures that are made from numbers."""

import numpy as np

from miniclip.data.icons.icons import Icons

NAMES = ("anchor", "bell", "cloud", "drum", "eye", "flag", "gear", "heart")
SETS = [f"set{k}" for k in range(8)]  # each is a training family of its own


def made_up(owned, seed=0):
    """What icons.pictures returns: each picture its captions, and ink of its own."""
    inks = np.random.default_rng(seed).integers(0, 256, (len(owned), 32, 32))
    return owned, inks.astype(np.uint8)


def small_pairs(noise=40):
    """Icons of 8 names in 8 training families and in Tabler, where two more names join known words. A
    name is a pattern of 8 x 8 blocks, and each picture of it has its own noise."""
    owned = [[(set_, name, "")] for set_ in [*SETS, "tabler"] for name in NAMES]
    owned += [[("tabler", name, "filled")] for name in ("eye drum", "gear flag")]
    inks = []
    for k, [(_, name, _)] in enumerate(owned):
        blocks = np.random.default_rng([*name.encode()]).integers(2, size=(8, 8)) * (255 - noise)
        rng = np.random.default_rng(k)
        inks.append(np.kron(blocks, np.ones((4, 4))) + rng.integers(noise + 1, size=(32, 32)))
    return Icons(drawn=(owned, np.stack(inks).astype(np.uint8)))
