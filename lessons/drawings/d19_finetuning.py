"""The pictures of lesson 19: old and new pairs, the line between two models, how good its models are, and a pair
of models without such a line."""

import json
from pathlib import Path

import numpy as np
import pen
from pen import DARK, MATCH, PICTURE, PLAIN, TEXT, Sheet

from miniclip import plots
from miniclip.data import open_pairs


def dot(sheet, x, y, fill):
    sheet.axes.plot(x, y, "o", ms=13, mfc=fill, mec=DARK, mew=0.8)


def pairs():
    """Icons with a word above, emoji with a caption below."""
    sheet, emoji = Sheet(17, 6.6), open_pairs()
    index = {emoji.captions(i)[0]: i for i in range(len(emoji))}
    icons = {"heart": "♥", "airplane": "✈", "snowflake": "❄", "umbrella": "☂"}
    captions = {
        "red heart": "red heart",
        "flag: Japan": "flag: Japan",
        "woman firefighter: dark skin tone": "woman firefighter:\ndark skin tone",
        "waving hand: light skin tone": "waving hand:\nlight skin tone",
    }
    for k, ((word, symbol), (caption, text)) in enumerate(zip(icons.items(), captions.items())):
        x = 4.8 + 3.3 * k
        sheet.label(x, 1.1, symbol, 42, color="black")
        sheet.label(x, 2.5, word, 10)
        sheet.axes.imshow(emoji.image(index[caption]), extent=(x - 0.8, x + 0.8, 5.2, 3.6))
        sheet.label(x, 5.8, text, 10)
    sheet.axes.set(xlim=(0, 17), ylim=(6.6, 0), aspect="equal")  # imshow has changed them
    sheet.label(0.3, 1.3, "released model:\nicons", 11, "left")
    sheet.label(0.3, 4.4, "your pairs:\nemoji", 11, "left")
    sheet.save("19_pairs")


def line():
    sheet = Sheet(15, 6.6)
    (x0, y0), (x1, y1) = start, end = (3.0, 4.9), (11.6, 2.9)
    t = np.linspace(0, 1, 100)[:, None]
    bent = (1 - t) ** 2 * start + 2 * t * (1 - t) * np.array((6.0, -1.6)) + t**2 * np.array(end)
    sheet.axes.plot(*bent.T, color="grey", lw=1.2)
    sheet.label(6.3, 0.55, "the path of fine-tuning", 10, color="grey")
    sheet.axes.plot([x0, x1], [y0, y1], "--", color=DARK, lw=1.2)
    middle = (x0 + x1) / 2, (y0 + y1) / 2
    dot(sheet, *start, PICTURE)
    dot(sheet, *end, TEXT)
    dot(sheet, *middle, MATCH)
    sheet.label(x0, y0 + 0.9, "start: knows icons\nalpha = 0", 10)
    sheet.label(x1 + 0.3, y1 + 0.9, "tuned: knows emoji\nalpha = 1", 10)
    sheet.label(middle[0] + 0.1, middle[1] + 0.9, "half of each weight\nalpha = 0.5", 10)
    sheet.save("19_line")


def twin():
    sheet = Sheet(16, 5.4)
    colours = {"red": TEXT, "round": PICTURE, "sharp": MATCH}
    first, second = ["red", "round", "sharp"], ["sharp", "red", "round"]
    for k, (one, other) in enumerate(zip(first, second)):
        y = 1.5 + 1.15 * k
        sheet.label(1.9, y + 0.4, f"channel {k}", 10, align="right")
        sheet.box(2.2, y, 2.6, 0.8, one, colours[one])
        sheet.box(6.4, y, 2.6, 0.8, other, colours[other])
        sheet.box(10.6, y, 4.6, 0.8, f"half {one}, half {other}", PLAIN)
    for x, text in ((3.5, "the model"), (7.7, "its twin"), (12.9, "their average")):
        sheet.label(x, 0.9, text, 11)
    sheet.label(5.6, 3.05, "+", 15)
    sheet.label(9.8, 3.05, "=", 15)
    sheet.save("19_twin")


def average():
    file = Path(__file__).parents[2] / "docs/finetuning/averages.json"
    curves = json.loads(file.read_text())["curves"]
    names = {
        "icons (Font Awesome)": "zero-shot on fontawesome",
        "emoji (what they show)": "zero-shot on emoji, held-out concepts",
        "compositions, R@1": "emoji, heldout_compositions: text to image R@1",
    }
    chosen = {label: curves[name] for label, name in names.items()}
    bands = {name: plots.band(map(float, curve), curve.values()) for name, curve in chosen.items()}
    plots.lines(
        [(bands, dict(ylim=(0, 1), xlabel="alpha", ylabel="accuracy"))],
        pen.FIGURES / "19_average.png",
    )


def main():
    pairs()
    line()
    twin()
    average()


if __name__ == "__main__":
    main()
