"""The figures of lesson 14: where a curve over the number of labels crosses zero-shot, and the icons.

python lessons/drawings/d14_probes.py
"""

import json
from pathlib import Path

import numpy as np
import pen
from pen import DARK, Sheet

from miniclip.evaluation.linear_probe import draw_shots


def crossing():
    """A line through three points, zero-shot dashed, and the crossing half a doubling above 2."""
    sheet = Sheet(13, 7.2)
    left, right, bottom = 2.0, 11.5, 5.6

    def at(step, accuracy):  # each doubling is one step of 4 cm
        return left + 1.0 + 4.0 * step, bottom - 18.0 * (accuracy - 0.45)

    sheet.arrow((left, bottom), (right + 0.5, bottom))
    sheet.arrow((left, bottom), (left, 0.4))
    sheet.label(left + 4.9, 6.9, "labels of each class (each doubling is one step)", 9.5)
    sheet.label(left + 0.25, 0.5, "accuracy", 9.5, "left")
    points = [at(step, accuracy) for step, accuracy in enumerate((0.50, 0.60, 0.70))]
    sheet.axes.plot(*zip(*points), "o-", color="#2b6cb0", lw=1.6)
    for step, ((x, y), accuracy) in enumerate(zip(points, (".50", ".60", ".70"))):
        sheet.label(x, bottom + 0.4, str(2**step), 10)
        sheet.label(x + 0.1, y - 0.4, accuracy, 9.5, "right")
    (_, y), (x, _) = at(0, 0.65), at(1.5, 0)
    sheet.axes.plot([left, right], [y, y], "--", color=DARK, lw=1.2)
    sheet.label(left + 0.2, y - 0.3, "zero-shot, .65", 9.5, "left")
    sheet.axes.plot([x, x], [y, bottom], ":", color="#b02020", lw=1.5)
    sheet.label(x, bottom + 0.4, "?", 11, color="#b02020")
    sheet.save("14_crossing")


def shots():
    """The accuracies of the seven families' icons, from the report of the packaged model."""
    report = Path(__file__).parents[2] / "docs/icons/report"  # from eval.py --task shots
    shots = json.loads((report / "results.json").read_text())["shots"]
    families = [row for row in shots.values() if isinstance(row, dict)]
    curves = {
        f"neighbour {kind}": {k: [row[kind][k] for row in families] for k in families[0][kind]}
        for kind in ("in its features", "in raw pixels")
    }
    zero_shot = [row["zero-shot"] for row in families]
    band = dict(value=np.mean(zero_shot), low=min(zero_shot), high=max(zero_shot))
    numbers = curves["neighbour in raw pixels"]
    draw_shots(curves, dict.fromkeys(numbers, band), pen.FIGURES / "14_shots.png")


def main():
    crossing()
    shots()


if __name__ == "__main__":
    main()
