"""The diagram of lesson 13: three pictures, three names, nine cosines.

python lessons/drawings/d13_zeroshot.py
"""

import sys
from pathlib import Path

from pen import MATCH, PICTURE, PLAIN, TEXT, Sheet

sys.path.append(str(Path(__file__).parents[2]))  # the checkout

import miniclip
from miniclip.data.icons.icons import Icons
from miniclip.evaluation.families import of_family
from miniclip.zeroshot import classifier_weights, encode_images

NAMES = ["camera", "bicycle", "dog"]


def classifier():
    """Pictures become rows, names become columns, and a row's largest product is the answer."""
    model, tokenizer, _ = miniclip.load("icons")
    icons = Icons()
    place = {name: i for i in of_family(icons, "fontawesome") for name in icons.names(i)}
    chosen = [place[name] for name in NAMES]
    rows, _ = encode_images(model, icons, chosen)
    cosines = rows @ classifier_weights(model, tokenizer, NAMES, ["{}"])
    sheet = Sheet(17.5, 9.0)
    for j, name in enumerate(NAMES):
        x = 9.6 + 2.2 * j
        sheet.box(x, 0.3, 1.8, 0.7, f'"{name}"', "white", 9)
        sheet.arrow((x + 0.9, 1.0), (x + 0.9, 1.6))
        sheet.arrow((x + 0.9, 2.4), (x + 0.9, 2.95))
        sheet.box(x + 0.6, 2.95, 0.6, 1.5, "", TEXT)
    sheet.box(9.6, 1.6, 6.2, 0.8, "text tower", PLAIN, 10)
    sheet.box(2.9, 4.9, 1.6, 3.6, "picture\ntower", PLAIN, 10)
    for i, row in enumerate(cosines.tolist()):
        y = 4.9 + 1.3 * i
        left, top = 1.0, y - 0.05
        sheet.axes.imshow(icons.image(chosen[i]), extent=(left, left + 1.1, top + 1.1, top))
        sheet.arrow((2.2, y + 0.5), (2.9, y + 0.5))
        sheet.arrow((4.5, y + 0.5), (5.4, y + 0.5))
        sheet.box(5.4, y + 0.2, 2.6, 0.6, "", PICTURE)
        for j, cosine in enumerate(row):
            fill = MATCH if cosine == max(row) else "white"
            sheet.box(9.6 + 2.2 * j, y, 1.8, 1.0, f"{cosine:.2f}", fill, 11)
    sheet.axes.set(xlim=(0, 17.5), ylim=(9.0, 0), aspect="equal")  # imshow has changed them
    sheet.label(6.7, 4.55, "rows: features", 9)
    sheet.label(8.6, 3.7, "columns:\nweights", 9)
    sheet.save("13_classifier")


def main():
    classifier()


if __name__ == "__main__":
    main()
