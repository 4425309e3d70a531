"""Diagrams of lesson 01: the 64 things, and the loss of three pairs."""

import math

from pen import DARK, MATCH, PICTURE, TEXT, Sheet

COLOURS = ["red", "orange", "gold", "green", "cyan", "blue", "purple", "black"]
SHAPES = dict(
    circle="●", square="■", triangle="▲", star="★", heart="♥", cross="✚", moon="☾", flag="⚑"
)


def things():
    """Colours by shapes; what is held out has a frame."""
    sheet = Sheet(16, 9.6)
    for j, shape in enumerate(SHAPES):
        sheet.label(3.0 + 1.1 * j, 0.5, shape, 7.5)
    for i, colour in enumerate(COLOURS):
        sheet.label(2.2, 1.4 + 1.0 * i, colour, 10, "right")
        for j, symbol in enumerate(SHAPES.values()):
            held_out = j == (i + 5) % 8
            fill = TEXT if held_out else "white"
            edge = DARK if held_out else "#cccccc"
            sheet.box(2.45 + 1.1 * j, 0.9 + 1.0 * i, 1.1, 1.0, "", fill, edge=edge)
            sheet.label(3.0 + 1.1 * j, 1.4 + 1.0 * i, symbol, 17, color=colour)
    sheet.box(11.9, 3.6, 0.5, 0.5, "", "white", edge="#cccccc")
    sheet.label(12.6, 3.85, "56 known things", 10, "left")
    sheet.box(11.9, 4.6, 0.5, 0.5, "", TEXT)
    sheet.label(12.6, 4.85, "8 held out", 10, "left")
    sheet.save("01_things")


def pairs():
    """The logits of three pairs, their shares by rows and by columns."""
    logits = [[2, 0, 1], [0, 2, 2], [0, 2, 2]]
    powers = [[math.exp(x) for x in row] for row in logits]
    rows = [[x / sum(row) for x in row] for row in powers]
    sums = [sum(column) for column in zip(*powers)]
    columns = [[x / total for x, total in zip(row, sums)] for row in powers]
    names = ["red\nheart", "blue\nstar", "red\nstar"]
    drawn = [("♥", "red"), ("★", "blue"), ("★", "red")]
    match = {(i, i): MATCH for i in range(3)}
    sheet = Sheet(22, 7.4)
    tables = [("logits", logits, "{}"), ("shares in each row", rows, "{:.2f}")]
    tables += [("shares in each column", columns, "{:.2f}")]
    for k, (title, table, style) in enumerate(tables):
        x = 2.0 + 6.9 * k
        sheet.label(x + 2.25, 0.5, title, 12, weight="bold")
        for j, name in enumerate(names):
            sheet.box(x + 1.5 * j + 0.08, 1.0, 1.34, 1.0, name, TEXT, 9)
            sheet.box(x - 1.3, 2.2 + 1.5 * j + 0.15, 1.2, 1.2, "", PICTURE)
            symbol, colour = drawn[j]
            sheet.label(x - 0.7, 2.2 + 1.5 * j + 0.75, symbol, 19, color=colour)
        sheet.cells(x, 2.2, [[style.format(n) for n in row] for row in table], 1.5, match, 12)
    sheet.label(11.15, 7.1, "each row adds up to 1", 10)
    sheet.label(18.05, 7.1, "each column adds up to 1", 10)
    sheet.save("01_pairs")


def main():
    things()
    pairs()


if __name__ == "__main__":
    main()
