"""The style of the course's diagrams: boxes, arrows, tables of cells and labels on one sheet.

A script beside this file draws the diagrams of one lesson into lessons/figures/:

    python lessons/drawings/d06_loss.py

One unit is one centimetre. x grows to the right and y downwards, as on a page. Pictures are blue, texts
are orange, and a picture with its own text is green, in every diagram.
"""

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

from miniclip.common import Parser  # noqa: E402

if Path(sys.argv[0]).resolve().parent == Path(__file__).resolve().parent:
    # the scripts take no options: they replace the figures
    Parser(prog=Path(sys.argv[0]).name, description="Draw the figures of a lesson.").parse_args()

FIGURES = Path(__file__).parents[1] / "figures"
FIGURES.mkdir(exist_ok=True)
PICTURE, TEXT, MATCH, PLAIN, DARK = "#cfe0f5", "#fbdcb8", "#c5e6c5", "#eeeeee", "#333333"


class Sheet:
    """A white sheet of `width` x `height` cm."""

    def __init__(self, width: float, height: float):
        self.figure = plt.figure(figsize=(width / 2.54, height / 2.54))
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
        self.axes.axis("off")

    def label(self, x, y, text, size=10, align="center", color=DARK, **style):
        """Text with its middle at (x, y), or beginning ("left") or ending ("right") there."""
        self.axes.text(x, y, text, size=size, ha=align, va="center", color=color, **style)

    def box(self, x, y, width, height, text="", fill=PLAIN, size=10, edge=DARK):
        """A rectangle whose upper left corner is (x, y), with text in its middle."""
        self.axes.add_patch(plt.Rectangle((x, y), width, height, fc=fill, ec=edge, lw=0.8))
        self.label(x + width / 2, y + height / 2, text, size)

    def arrow(self, start, end, text="", size=9, color=DARK, bend=0.0):
        """An arrow between two points (x, y), with text beside its middle."""
        how = dict(arrowstyle="-|>", color=color, lw=1, shrinkA=0, shrinkB=0)
        how["connectionstyle"] = f"arc3,rad={bend}"
        self.axes.annotate("", end, start, arrowprops=how)
        middle = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
        flat = abs(end[0] - start[0]) > abs(end[1] - start[1])
        if flat:
            self.label(middle[0], middle[1] - 0.3, text, size)
        else:
            self.label(middle[0] + 0.2, middle[1], text, size, align="left")

    def cells(self, x, y, table, side=1.0, fills=None, size=9, height=None):
        """A table of texts, row by row, its upper left corner at (x, y).

        side, height: of one cell (height=None: a square). fills: {(row, column): colour}.
        """
        height, fills = height or side, fills or {}
        for i, row in enumerate(table):
            for j, text in enumerate(row):
                fill = fills.get((i, j), "white")
                self.box(x + j * side, y + i * height, side, height, str(text), fill, size)

    def save(self, name: str, dpi: int = 130) -> None:
        """Write the sheet to lessons/figures/<name>.png."""
        self.figure.savefig(FIGURES / f"{name}.png", dpi=dpi, metadata={"Software": None})
        plt.close(self.figure)
