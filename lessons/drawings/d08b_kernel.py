"""The diagrams of lesson 08b: a tile and its two sums, and the float32 numbers near 1 and near 0.

python lessons/drawings/d08b_kernel.py
"""

from pen import DARK, MATCH, PICTURE, TEXT, Sheet


def tile():
    """The matrix of logits in tiles, of which a program holds one, and where its two sums go."""
    sheet, faint = Sheet(18.5, 9.4), "#c8c8c8"
    sheet.box(2.2, 0.4, 6.0, 0.7, "Y: features of N captions", TEXT, 9)
    sheet.box(1.2, 1.4, 0.7, 4.8, "X", PICTURE, 10)
    for i in range(4):
        for j in range(4):
            sheet.box(2.2 + 1.5 * j, 1.4 + 1.2 * i, 1.5, 1.2, "", "white", 9, faint)
            sheet.box(11.4 + 1.5 * j, 2.2 + 0.5 * i, 1.5, 0.5, "", "white", 9, faint)
            sheet.box(2.2 + 1.5 * j, 7.2 + 0.5 * i, 1.5, 0.5, "", "white", 9, faint)
    sheet.box(5.2, 2.6, 1.5, 1.2, "a tile", MATCH, 10)
    sheet.box(12.9, 3.2, 1.5, 0.5, "", PICTURE)
    sheet.box(5.2, 7.7, 1.5, 0.5, "", TEXT)
    sheet.arrow((6.8, 3.45), (12.8, 3.45))
    sheet.label(9.8, 3.05, "row sums", 10)
    sheet.label(2.3, 3.2, "i = 1", 9, "left")
    sheet.label(5.95, 1.75, "j = 2", 9)
    sheet.label(17.5, 3.45, "j = 2", 9, "left")
    sheet.label(13.65, 3.45, "i = 1", 9)
    sheet.label(2.1, 7.95, "i = 1", 9, "right")
    sheet.label(5.95, 7.95, "j = 2", 9)
    sheet.arrow((5.95, 3.9), (5.95, 7.65))
    sheet.label(6.1, 6.7, "column sums", 10, "left")
    sheet.label(3.8, 5.6, "N x N, never stored", 9, color="#777777")
    sheet.label(11.4, 1.3, "Z_ROWS: a line of M numbers", 10, "left")
    sheet.label(11.4, 1.8, "for each column of tiles", 10, "left")
    sheet.label(8.5, 7.95, "Z_COLUMNS: a line of N numbers", 10, "left")
    sheet.label(8.5, 8.45, "for each row of tiles", 10, "left")
    sheet.label(11.4, 5.2, "Both are kept, and their lines are", 9, "left")
    sheet.label(11.4, 5.65, "added up later. The tile is thrown away.", 9, "left")
    sheet.save("08b_tile")


def digits():
    """Two pieces of the number line: just below 1, where p is rounded to 1, and around 1 - p itself."""
    sheet = Sheet(18, 7.4)

    def line(y, title, ticks):
        sheet.label(0.6, y - 1.0, title, 10, "left", weight="bold")
        sheet.axes.plot([1.0, 17.0], [y, y], color=DARK, lw=1)
        for x in ticks:
            sheet.axes.plot([x, x], [y - 0.2, y + 0.2], color=DARK, lw=1)

    line(1.9, "float32 just below 1: steps of 6e-8", (3.0, 9.0, 15.0))
    for x, number in ((3.0, "1 - 1.2e-7"), (9.0, "1 - 6e-8"), (15.0, "1")):
        sheet.label(x, 2.5, number, 10)
    sheet.axes.plot([14.95], [1.9], "o", color="tab:red", ms=6)
    sheet.label(14.7, 1.2, "p = 1 - 2.8e-11 is rounded to 1", 10, color="tab:red")
    line(5.4, "float32 around 2.8e-11: steps of 1.7e-18", [1.4 + 0.4 * k for k in range(39)])
    sheet.axes.plot([9.0], [5.4], "o", color="tab:red", ms=6)
    sheet.label(9.0, 6.1, "others / (others + E) = 2.8e-11", 10, color="tab:red")
    sheet.label(9.0, 6.8, "all of these steps together are far smaller than one step above", 9)
    sheet.save("08b_digits")


def main():
    tile()
    digits()


if __name__ == "__main__":
    main()
