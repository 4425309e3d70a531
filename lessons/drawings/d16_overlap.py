"""The pictures of lesson 16: changed copies, icons beside their nearest training picture, and an exact interval."""

from math import comb

import numpy as np
import pen
from copies import CHANGES
from pen import PLAIN, Sheet, plt

from miniclip.data import open_pairs
from miniclip.data.icons.icons import Icons
from miniclip.evaluation.confidence import clopper_pearson
from miniclip.evaluation.families import ink
from miniclip.evaluation.near_duplicates import base_emoji

RIGHT, N = 9, 10
NEAREST = [  # (set, name, style) of a test picture, and of the training picture nearest to it
    (("heroicons", "moon", ""), ("si", "moon", "line")),
    (("tabler", "ball tennis", ""), ("mingcute", "baseball", "line")),
    (("eva", "unlock", "fill"), ("mingcute", "parfum", "fill")),
    (("heroicons", "microphone", ""), ("bytesize", "microphone", "")),
    (("eva", "settings", "fill"), ("fluent-emoji-high-contrast", "cherry blossom", "")),
    (("eva", "toggle right", "outline"), ("feather", "toggle right", "")),
    (("tabler", "mug", ""), ("ix", "coffee empty", "")),
    (("heroicons", "map", ""), ("material-symbols", "map", "outline")),
    (("eva", "phone", "outline"), ("mingcute", "phone", "line")),
    (("heroicons", "truck", "solid"), ("mynaui", "truck", "solid")),
    (("eva", "shield off", "outline"), ("lucide", "shield off", "")),
    (("tabler", "bottle off", ""), ("mdi", "battery off", "outline")),
]
GREEN, ORANGE = "#5cb85c", "#f0932b"  # stronger than the pen's, for small bars


def chart(sheet, left, p, marked, title, note, fill):
    """Bars of the probabilities of 0 to N right at the true accuracy p, the highest always as high."""
    shares = [comb(N, k) * p**k * (1 - p) ** (N - k) for k in range(N + 1)]
    bottom, tall = 6.2, 4.4 / max(shares)
    for k, share in enumerate(shares):
        high = max(tall * share, 0.02)
        sheet.box(left + 0.6 * k, bottom - high, 0.5, high, fill=fill if k in marked else PLAIN)
        sheet.label(left + 0.6 * k + 0.25, bottom + 0.35, str(k), 9)
    sheet.label(left + 3.3, bottom + 1.0, "right answers of 10", 10)
    sheet.label(left + 3.3, 0.6, title, 11)
    x, y = left + 0.6 * RIGHT + 0.2, bottom - tall * shares[RIGHT]
    above = RIGHT + 1 in marked
    sheet.label(x - above * 0.35, y - 1.75, note, 10, align="left" if above else "right")
    sheet.arrow((x, y - 1.1), (x, y - 0.1))


def ends():
    low, high = clopper_pearson(RIGHT, N)
    sheet = Sheet(16.5, 7.8)
    many, few = range(RIGHT, N + 1), range(RIGHT + 1)
    lower, upper = f"lower end: the truth is {low:.3f}", f"upper end: the truth is {high:.3f}"
    chart(sheet, 0.7, low, many, lower, "9 or more:\n2.5 %", GREEN)
    chart(sheet, 9.0, high, few, upper, "9 or fewer: 2.5 %", ORANGE)
    sheet.save("16_ends")


def pairs():
    """Test pictures beside the training picture that is nearest to each; every set is MIT, Apache or ISC."""
    icons = Icons()
    picture = {tuple(key): i for i, keys in enumerate(icons.owned) for key in keys}
    shown = [tuple(picture[key] for key in pair) for pair in NEAREST]
    figure, axes = plt.subplots(2, 12, figsize=(9, 1.9), layout="constrained")
    for axis in axes.flat:
        axis.axis("off")
    for k, pair in enumerate(shown):
        left, right = axes[k // 6][2 * (k % 6) :][:2]
        a, b = ink(icons, list(pair))[0]
        left.imshow(icons.image(pair[0]))
        right.imshow(icons.image(pair[1]))
        left.set_title(f"{a @ b:.3f}", size=9, loc="left")
    figure.savefig(pen.FIGURES / "16_pairs.png", dpi=80, metadata={"Software": None})
    plt.close(figure)


def copies():
    """The first eight of the page's 40 emoji, and below each one its changed copy."""
    emoji, rng, gestures = open_pairs(), np.random.default_rng(0), {}
    for i in range(len(emoji)):
        gestures.setdefault(base_emoji(emoji.captions(i)[0]), i)
    known = rng.permutation(list(gestures.values())).tolist()[:8]
    bare = dict(xticks=[], yticks=[])
    figure, axes = plt.subplots(2, 8, figsize=(7, 1.9), layout="constrained", subplot_kw=bare)
    for k, (above, below) in enumerate(axes.T):
        change = CHANGES[k % 4]
        above.imshow(emoji.image(known[k]))
        below.imshow(change(emoji.image(known[k]), rng))
        below.set_xlabel(change.__name__, fontsize=7)
    figure.savefig(pen.FIGURES / "16_copies.png", dpi=80, metadata={"Software": None})
    plt.close(figure)


def main():
    ends()
    pairs()
    copies()


if __name__ == "__main__":
    main()
