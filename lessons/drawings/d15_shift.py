"""The diagram of lesson 15: the line of expectation, and the height above it."""

import numpy as np
from pen import DARK, MATCH, PICTURE, Sheet

from miniclip.evaluation.robustness import baseline, effective_robustness

HOME, SHIFTED = (0.50, 0.70, 0.90, 0.70), (0.30, 0.50, 0.80, 0.62)
LEFT, BOTTOM, UNIT = 1.9, 8.4, 8.0  # where accuracy 0 is on the sheet, and how long 1 is


def at(home, shifted):
    """Where two accuracies are on the sheet."""
    return LEFT + UNIT * home, BOTTOM - UNIT * shifted


def height():
    sheet = Sheet(15.5, 9.8)
    sheet.arrow(at(0, 0), at(1.04, 0))
    sheet.arrow(at(0, 0), at(0, 1.04))
    for share in (0.5, 1.0):
        sheet.label(*np.add(at(share, 0), (0, 0.35)), f"{share:.1f}", 9)
        sheet.label(*np.add(at(0, share), (-0.2, 0)), f"{share:.1f}", 9, align="right")
    sheet.label(LEFT + UNIT / 2, BOTTOM + 0.95, "accuracy at home", 11)
    sheet.label(0.7, BOTTOM - UNIT / 2, "accuracy under the shift", 11, rotation=90)

    line = baseline(HOME[:3], SHIFTED[:3])
    x = np.linspace(0.03, 0.97, 200)
    expected = -effective_robustness(x, 0 * x, line)
    sheet.axes.plot(*at(x, x), "--", color="grey", lw=1)
    sheet.axes.plot(*at(x, expected), color=DARK, lw=1.5)
    sheet.label(*at(0.2, 0.27), "nothing lost", 9, rotation=45, color="grey")
    sheet.label(*at(0.33, 0.08), "expected", 9, align="left")

    for k, point in enumerate(zip(HOME, SHIFTED), 1):
        fill = MATCH if k == 4 else PICTURE
        sheet.axes.plot(*at(*point), "o", ms=15, mfc=fill, mec=DARK, mew=0.8)
        sheet.label(*at(*point), str(k), 10)
    x, y = at(0.70, 0.62)
    foot = at(0.70, 0.50)[1]
    sheet.axes.plot([x + 0.3, x + 4.1], [y, y], ":", color="grey", lw=1)
    sheet.axes.plot([x + 0.3, x + 4.1], [foot, foot], ":", color="grey", lw=1)
    sheet.arrow((x + 3.9, foot), (x + 3.9, y))
    sheet.label(x + 4.2, (y + foot) / 2, "effective\nrobustness\n.62 - .50 = .12", 10, align="left")
    sheet.save("15_height")


def main():
    height()


if __name__ == "__main__":
    main()
