"""Diagrams of lesson 03: the text tower, the causal mask with numbers, the residual stream."""

import math

from pen import DARK, PLAIN, TEXT, Sheet

GREY = "#aaaaaa"


def tower():
    """A caption's way through the tower: what each position reads, and what goes on at the end."""
    sheet, side = Sheet(20, 12.2), 2.4
    middles = [5.0 + 3.3 * i for i in range(5)]
    rows = (
        (0.55, "ids", ""),
        (2.0, "token vector", "plus position vector"),
        (4.0, "first block", "positions read each other"),
        (7.2, "last block", ""),
        (8.9, "vectors", "D numbers each"),
        (10.3, "norm, matrix", ""),
        (11.5, "feature", "E numbers"),
    )
    for y, name, detail in rows:
        sheet.label(0.3, y, name, 11, "left", weight="bold")
        sheet.label(0.3, y + 0.5, detail, 9, "left")
    for i, (middle, word) in enumerate(zip(middles, ("start", "square", "in", "circle", "end"))):
        sheet.box(middle - side / 2, 0.2, side, 0.8, word, PLAIN, 12)
        sheet.arrow((middle, 1.0), (middle, 1.7))
        sheet.box(middle - 1.45, 1.7, 1.2, 0.9, "token", TEXT, 10)
        sheet.label(middle, 2.15, "+", 13)
        sheet.box(middle + 0.25, 1.7, 1.2, 0.9, f"position\n{i}", "white", 7.5)
        sheet.label(middle, 5.75, "⋮", 14)
        sheet.box(middle - side / 2, 8.5, side, 0.9, "", TEXT if i == 4 else "white")
        for top, bottom in ((2.7, 5.3), (6.2, 8.5)):
            for start in middles[:i] + middles[i + 1 :]:
                sheet.arrow((start, top), (middle, bottom), color=GREY)
            sheet.arrow((middle, top), (middle, bottom))
    sheet.label(middles[1] + 1.65, 9.9, "these four are not used any further", 10)
    sheet.arrow((middles[4], 9.4), (middles[4], 9.9))
    sheet.box(middles[4] - side / 2, 9.9, side, 0.8, "D to E", PLAIN, 11)
    sheet.arrow((middles[4], 10.7), (middles[4], 11.2))
    fills = {(0, j): TEXT for j in range(6)}
    sheet.cells(middles[4] - side / 2, 11.2, [[""] * 6], side / 6, fills, 9, 0.8)
    sheet.save("03_tower")


def mask():
    """Four words' scores, the part that is hidden, and the weights."""
    words = ("two", "red", "hearts", "end")
    scores = ((0, 0, 2, 0), (0, 0, 2, 0), (2, 2, 0, 0), (1, 1, 2, 0))
    sheet, side = Sheet(20, 8.0), 1.35

    def table(x, name, rows, hidden, below):
        sheet.label(x + 2 * side, 0.5, name, 12, weight="bold")
        sheet.label(x + 2 * side, 7.55, below, 10)
        for i, (word, row) in enumerate(zip(words, rows)):
            sheet.label(x + (i + 0.5) * side, 1.25, word, 11)
            sheet.label(x - 0.2, 1.6 + (i + 0.5) * side, word, 11, "right")
            for j in range(4):
                read = j <= i
                place = x + j * side, 1.6 + i * side, side, side
                text = str(row[j]) if read else hidden
                sheet.box(*place, text, TEXT if read else PLAIN, 13 if read else 9)

    weights = []
    for i, row in enumerate(scores):
        powers = [math.exp(score) for score in row[: i + 1]]
        weights.append([f"{power / sum(powers):.2f}" for power in powers])
    table(2.6, "scores", scores, "hidden", "a row: one query and the keys that it may read")
    table(13.0, "weights", weights, "", "each row adds up to 1")
    sheet.arrow((8.6, 4.3), (11.1, 4.3), "softmax", 12)
    sheet.label(0.5, 4.3, "who asks", 11, rotation=90)
    sheet.save("03_mask")


def block():
    """The residual stream with its two branches."""
    sheet, y, below = Sheet(20, 5.0), 1.2, 3.3
    sheet.label(0.3, y, "x", 15, "left")
    for start, end in ((0.9, 7.25), (8.1, 18.15), (19.0, 19.8)):
        sheet.arrow((start, y), (end, y))
    for plus in (7.7, 18.6):
        sheet.label(plus, y, "+", 14, bbox=dict(boxstyle="circle", fc="white", ec=DARK))
    branches = (
        (1.5, 7.7, (("ln_1", PLAIN, 1.5), ("attention", TEXT, 2.5))),
        (
            8.7,
            18.6,
            (
                ("ln_2", PLAIN, 1.4),
                ("D to 4·D", TEXT, 1.8),
                ("activation", PLAIN, 2.3),
                ("4·D to D", TEXT, 1.8),
            ),
        ),
    )
    for start, plus, parts in branches:
        sheet.axes.plot([start, start], [y, below], color=DARK, lw=1)
        x = start
        for text, fill, width in parts:
            sheet.arrow((x, below), (x + 0.45, below))
            sheet.box(x + 0.45, below - 0.5, width, 1.0, text, fill, 11)
            x += 0.45 + width
        sheet.axes.plot([x, plus], [below, below], color=DARK, lw=1)
        sheet.arrow((plus, below), (plus, y + 0.4))
    sheet.label(4.2, 4.4, "positions read each other", 11)
    sheet.label(13.4, 4.4, "MLP: each position by itself", 11)
    sheet.label(12.9, y - 0.5, "the residual stream: (N, L, D) all the way", 11)
    sheet.save("03_block")


def main():
    tower()
    mask()
    block()


if __name__ == "__main__":
    main()
