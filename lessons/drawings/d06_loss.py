"""The diagrams of lesson 06: three pairs from cosines to losses, their gradient, and the best scale.

python lessons/drawings/d06_loss.py
"""

import math
import sys
from pathlib import Path

import torch
from pen import FIGURES, MATCH, PICTURE, TEXT, Sheet, plt

sys.path.append(str(Path(__file__).parents[2]))  # the checkout

from miniclip.loss import clip_loss

MATCHES = {(i, i): MATCH for i in range(3)}


def table(sheet, x, y, rows, title):
    """Three rows of three numbers, the matches green, pictures at the left and captions above."""
    sheet.label(x + 1.8, y - 1.15, title, 10)
    for k in range(3):
        sheet.box(x + 1.2 * k, y - 0.7, 1.2, 0.55, f"caption {k}", TEXT, 6.5)
    sheet.cells(x, y, rows, 1.2, MATCHES, 11, height=0.9)


def pairs():
    """Cosines, exponentials with the sums of rows and columns, and the probability of each match."""
    sheet = Sheet(19, 6.2)
    for k in range(3):
        sheet.box(0.2, 1.9 + 0.9 * k, 1.5, 0.9, f"picture {k}", PICTURE, 7.5)
    table(sheet, 1.8, 1.9, [[".9", "0", "0"], [".3", ".9", ".3"], ["0", "0", "0"]], "cosines")
    table(sheet, 8.4, 1.9, [["8", "1", "1"], ["2", "8", "2"], ["1", "1", "1"]], "exponentials")
    sheet.arrow((5.6, 3.25), (8.2, 3.25))
    sheet.label(6.9, 2.75, "each .3 more", 8)
    sheet.label(6.9, 3.65, "doubles it", 8)
    for k, (row, column) in enumerate(zip((10, 12, 3), (11, 10, 4))):
        sheet.box(12.4, 1.9 + 0.9 * k, 1.2, 0.9, str(row), PICTURE, 11)
        sheet.box(8.4 + 1.2 * k, 4.8, 1.2, 0.7, str(column), TEXT, 11)
    sheet.label(13.0, 1.5, "row sums", 8)
    sheet.label(7.2, 5.15, "column sums", 8)
    for k, (row, column) in enumerate(zip((10, 12, 3), (11, 10, 4))):
        top = (8, 8, 1)[k]
        sheet.label(14.3, 2.35 + 0.9 * k, f"picture {k} picks caption {k}: {top}/{row}", 8, "left")
        sheet.label(9.0 + 1.2 * k, 5.8, f"{top}/{column}", 9)
    sheet.label(12.4, 5.8, "caption k picks picture k", 8, "left")
    sheet.save("06_pairs")


def gradient():
    """The softmax of rows, that of columns, and what a change of each logit does to the loss."""
    sheet = Sheet(18.5, 5.2)
    p = [[".80", ".10", ".10"], [".17", ".67", ".17"], [".33", ".33", ".33"]]
    q = [[".73", ".10", ".25"], [".18", ".80", ".50"], [".09", ".10", ".25"]]
    g = [["-.24", ".10", ".18"], [".17", "-.27", ".33"], [".21", ".22", "-.71"]]
    tables = (p, "p: each row adds up to 1"), (q, "q: each column adds up to 1"), (g, "G")
    for (numbers, title), x in zip(tables, (1.0, 7.2, 13.5)):
        sheet.label(x + 1.8, 0.6, title, 10)
        sheet.cells(x, 1.1, numbers, 1.2, MATCHES, 11, height=0.9)
    sheet.label(5.9, 2.45, "and", 10)
    sheet.arrow((11.0, 2.45), (13.3, 2.45))
    sheet.label(2.8, 4.3, "one picture, three captions", 9)
    sheet.label(5.9, 4.75, "(all numbers are rounded)", 8)
    sheet.label(9.0, 4.3, "one caption, three pictures", 9)
    sheet.label(15.3, 4.3, "three times the slope of", 9)
    sheet.label(15.3, 4.7, "the loss at each logit", 9)
    sheet.save("06_gradient")


def scale():
    """The loss over the scale for three models, 256 captions that are their picture plus noise."""
    generator = torch.Generator().manual_seed(1)
    image, text = torch.randn(2, 256, 64, generator=generator, dtype=torch.float64)
    scales = torch.logspace(0, 2.5, 60).double()
    figure, axis = plt.subplots(figsize=(6, 3.5))
    for noise in (8.0, 4.0, 1.5):
        losses = torch.stack([clip_loss(image, image + noise * text, s.log()) for s in scales])
        axis.plot(scales, losses, label=f"noise {noise}")
        axis.plot(scales[losses.argmin()], losses.min(), "ko")
    axis.axhline(math.log(256), ls=":", label="log N")
    axis.set(xscale="log", ylim=(0, 8), xlabel="scale", ylabel="loss")
    axis.legend(), figure.tight_layout()
    figure.savefig(FIGURES / "06_scale.png", dpi=80, metadata={"Software": None})


def main():
    pairs()
    gradient()
    scale()


if __name__ == "__main__":
    main()
