"""The diagrams of lesson 09: the gradient's tile, the chunk and its products, a projection.

python lessons/drawings/d09_backward.py
"""

from pen import MATCH, PICTURE, TEXT, Sheet

FAINT = "#c8c8c8"


def tile():
    """The three pairs: S in bits, less lse of row and column, becomes G."""
    sheet = Sheet(19, 6.2)
    matches = {(i, i): MATCH for i in range(3)}
    sheet.label(4.75, 0.5, "S, computed again, in bits", 10)
    sheet.cells(
        2.8, 1.9, [["3", "0", "0"], ["1", "3", "1"], ["0", "0", "0"]], 1.3, matches, 11, 1.0
    )
    for k, (row, column) in enumerate(zip(("3.32", "3.58", "1.58"), ("3.46", "3.32", "2.00"))):
        sheet.box(1.3, 1.9 + 1.0 * k, 1.3, 1.0, row, PICTURE, 10)
        sheet.box(2.8 + 1.3 * k, 1.0, 1.3, 0.75, column, TEXT, 10)
    sheet.label(1.95, 5.3, "lse of", 9)
    sheet.label(1.95, 5.7, "the rows", 9)
    sheet.label(0.3, 1.2, "lse of the", 9, "left")
    sheet.label(0.3, 1.6, "columns", 9, "left")
    sheet.arrow((7.0, 3.4), (14.4, 3.4))
    sheet.label(10.7, 2.4, "not a match: half of the sum", 9)
    sheet.label(10.7, 2.9, "2^(S - row's lse) + 2^(S - column's lse)", 9)
    sheet.label(10.7, 3.9, "a match: minus half of the sum", 9)
    sheet.label(10.7, 4.4, "(1 - p, of its row) + (1 - q, of its column)", 9)
    sheet.label(16.6, 1.4, "a tile of G", 10)
    numbers = [["-.24", ".10", ".18"], [".17", "-.27", ".33"], [".21", ".22", "-.71"]]
    sheet.cells(14.65, 1.9, numbers, 1.3, matches, 11, 1.0)
    sheet.save("09_tile")


def chunk():
    """A chunk of G, c x N, with the features that make it and the two products that use it."""
    sheet = Sheet(19, 8.6)
    sheet.label(1.2, 0.5, "X", 10)
    sheet.label(13.8, 0.5, "dX", 10)
    sheet.label(5.6, 0.5, "G, N x N, never stored (green line: matches)", 9)
    for i in range(4):
        here = i == 1
        name, fill = ("c rows", PICTURE) if here else ("", "white")
        sheet.box(0.6, 1.0 + 1.2 * i, 1.2, 1.2, name, fill, 8)
        sheet.box(2.4, 1.0 + 1.2 * i, 6.4, 1.2, "", "white", 9, FAINT)
        sheet.box(13.1, 1.0 + 1.2 * i, 1.4, 1.2, name, fill, 9)
    sheet.box(2.4, 2.2, 6.4, 1.2, "", MATCH, 10)
    sheet.label(7.2, 2.6, "a chunk of G,", 10)
    sheet.label(7.2, 3.05, "c x N", 10)
    for k in range(4):
        left, top = 2.4 + 1.6 * k, 1.0 + 1.2 * k
        sheet.axes.plot([left, left + 1.6], [top, top + 1.2], color="#3a8f3a", lw=1.2)
    sheet.box(2.4, 6.2, 6.4, 0.8, "Y, all N rows", TEXT, 10)
    sheet.label(2.6, 5.3, "the next chunk takes its place", 9, "left")
    sheet.arrow((8.9, 2.8), (12.9, 2.8))
    sheet.label(10.9, 2.4, "times Y", 9)
    sheet.label(14.8, 2.6, "complete, because a", 9, "left")
    sheet.label(14.8, 3.0, "row has all captions", 9, "left")
    sheet.arrow((8.9, 3.3), (12.9, 6.7))
    sheet.label(9.1, 5.6, "transposed,", 9, "left")
    sheet.label(9.1, 6.0, "times the", 9, "left")
    sheet.label(9.1, 6.4, "c rows of X", 9, "left")
    sheet.box(13.1, 6.2, 1.4, 1.6, "N rows", TEXT, 9)
    sheet.label(13.8, 8.2, "dY", 10)
    sheet.label(14.8, 6.8, "a part: each chunk", 9, "left")
    sheet.label(14.8, 7.2, "adds its own", 9, "left")
    sheet.save("09_chunk")


def projection():
    """x = (3, 4), the gradient (1, 0) by its direction, and what is left of it beside x."""
    sheet = Sheet(14, 6.6)
    origin, unit, zoom = (3.4, 5.6), 1.1, 3  # the gradients are drawn three times as long

    def at(x, y):
        return origin[0] + unit * x, origin[1] - unit * y

    along = 0.6 * 0.6 * zoom, 0.6 * 0.8 * zoom
    sheet.arrow(at(0, 0), at(3, 4), color="#2f6db3")
    sheet.label(*at(3.2, 4.1), "x = (3, 4), of length 5", 10, "left", color="#2f6db3")
    sheet.arrow(at(0, 0), at(zoom, 0))
    sheet.label(*at(3.2, 0), "g = (1, 0)", 10, "left")
    sheet.arrow(at(0, 0), at(*along), color="#c0392b")
    sheet.label(*at(0.4, 1.1), "along x: (.36, .48)", 9, "right", color="#c0392b")
    sheet.arrow(at(*along), at(zoom, 0), color="#3a8f3a")
    sheet.label(*at(2.3, 0.95), "what is left: (.64, -.48)", 9, "left", color="#3a8f3a")
    sheet.label(*at(0, -0.6), "(g and its parts are drawn three times as long)", 8, "left")
    sheet.save("09_projection")


def main():
    tile()
    chunk()
    projection()


if __name__ == "__main__":
    main()
