"""The diagrams of lesson 07: which program of a kernel reads and writes what.

python lessons/drawings/d07_triton.py
"""

from pen import DARK, MATCH, PICTURE, PLAIN, TEXT, Sheet

COLOURS = [PICTURE, TEXT, MATCH, "#e4d3ee"]  # of programs 0, 1, 2 and 3
PALE = "#bbbbbb"


def copy():
    """Four programs, each of which copies one element."""
    sheet = Sheet(14, 5.6)
    x0, side = 3.6, 1.6
    for row, (name, y) in enumerate((("X in memory", 0.5), ("OUT in memory", 4.1))):
        sheet.label(x0 - 0.3, y + 0.5, name, align="right")
        for i, value in enumerate((3, 1, 4, 1, 5, 9)):
            fill = COLOURS[i] if i < 4 else "white"
            text = str(value) if row == 0 or i < 4 else "0"
            sheet.box(x0 + i * side, y, side, 1.0, text, fill)
    sheet.label(x0 - 0.3, 2.8, "four programs", align="right")
    for pid in range(4):
        middle = x0 + pid * side + side / 2
        sheet.box(middle - 0.65, 2.35, 1.3, 0.9, f"i = {pid}", COLOURS[pid], edge=DARK)
        sheet.arrow((middle, 1.5), (middle, 2.35))
        sheet.arrow((middle, 3.25), (middle, 4.1))
    sheet.label(x0 + 4.1 * side, 1.95, "load", align="left", size=9)
    sheet.label(x0 + 4.1 * side, 3.7, "store", align="left", size=9)
    sheet.save("07_copy")


def blocks():
    """Ten elements in blocks of four: two lanes of the last program have none."""
    sheet = Sheet(16, 5.3)
    x0, side = 1.2, 1.15
    sheet.label(x0, 0.5, "memory: ten elements of OUT, and what lies behind it", align="left")
    for i in range(12):
        ours = i < 10
        fill = COLOURS[i // 4] if ours else "white"
        edge = DARK if ours else PALE
        sheet.box(x0 + i * side, 0.9, side, 0.9, f"{i}", fill, edge=edge)
    sheet.label(x0 + 11 * side, 2.1, "not ours", size=9, color="#b03030")
    for pid in range(3):
        left = x0 + 4 * pid * side
        sheet.box(left + 0.15, 3.0, 4 * side - 0.3, 0.8, f"program {pid}", COLOURS[pid])
        for lane in range(4):
            middle = left + (lane + 0.5) * side
            if 4 * pid + lane < 10:
                sheet.arrow((middle, 3.0), (middle, 1.8))
            else:
                sheet.arrow((middle, 3.0), (middle, 2.45), color=PALE)
                sheet.label(middle, 2.5, "×", size=13, color="#b03030")
    sheet.label(x0, 4.3, "i = 0 1 2 3", align="left", size=9)
    sheet.label(x0 + 4 * side, 4.3, "i = 4 5 6 7", align="left", size=9)
    sheet.label(x0 + 8 * side, 4.3, "i = 8 9 10 11", align="left", size=9)
    sheet.label(x0 + 8 * side, 4.85, "i < 10: yes yes no no", align="left", size=9)
    sheet.save("07_blocks")


def rows():
    """A (3, 5) matrix in memory; program 1 takes row 1 in a block of eight."""
    sheet = Sheet(17, 5.4)
    x0, side = 1.0, 1.0
    sheet.label(x0, 0.5, "a (3, 5) tensor in memory: row after row", align="left")
    for i in range(15):
        r, d = divmod(i, 5)
        sheet.box(x0 + i * side, 0.9, side, 0.9, f"{r}, {d}", COLOURS[r], size=9)
    for r in range(3):
        sheet.label(x0 + (5 * r) * side, 2.15, f"r D = {5 * r}", align="left", size=9)
    left, top = x0 + 5 * side, 3.1
    for d in range(8):
        inside = d < 5
        text, fill = (f"1, {d}", COLOURS[1]) if inside else ("other", PLAIN)
        sheet.box(left + d * side, top, side, 0.9, text, fill, size=9 if inside else 8)
        if inside:
            sheet.arrow((left + (d + 0.5) * side, 2.4), (left + (d + 0.5) * side, top))
    sheet.label(left - 0.3, top + 0.45, "block of program 1", align="right")
    sheet.label(left, 4.4, "d = 0 ... 4: exist", align="left", size=9)
    sheet.label(left + 5 * side, 4.4, "d = 5, 6, 7: padding", align="left", size=9)
    sheet.label(left, 5.0, "DP = 8, the next power of two", align="left", size=9)
    sheet.save("07_rows")


def table():
    """Four programs in a grid of 2 x 2 write a (3, 6) table in blocks of (2, 4)."""
    sheet = Sheet(16, 6.8)
    x0, y0, side = 6.4, 2.0, 1.1
    xs, ys = (1, 2, 3), (1, 2, 3, 4, 5, 6)
    for j in range(8):
        exists = j < 6
        fill, edge = (PLAIN, DARK) if exists else ("white", PALE)
        sheet.box(x0 + j * side, 0.5, side, 0.8, str(ys[j]) if exists else "", fill, edge=edge)
    sheet.label(x0 - 0.3, 0.9, "Y", align="right")
    sheet.label(x0 - 1.9, y0 - 0.35, "X", align="center")
    for i in range(4):
        exists = i < 3
        fill, edge = (PLAIN, DARK) if exists else ("white", PALE)
        text = str(xs[i]) if exists else ""
        sheet.box(x0 - 2.4, y0 + i * side, 1.0, side, text, fill, edge=edge)
        for j in range(8):
            program = 2 * (i // 2) + j // 4
            ours = exists and j < 6
            text = str(xs[i] * ys[j]) if ours else ""
            fill, edge = (COLOURS[program], DARK) if ours else ("white", PALE)
            sheet.box(x0 + j * side, y0 + i * side, side, side, text, fill, edge=edge)
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        sheet.axes.plot(
            [x0 + 4 * j * side, x0 + 4 * (j + 1) * side], [y0 + 2 * (i + 1) * side] * 2, DARK, lw=2
        )
        sheet.axes.plot(
            [x0 + 4 * (j + 1) * side] * 2, [y0 + 2 * i * side, y0 + 2 * (i + 1) * side], DARK, lw=2
        )
    sheet.label(x0 + 2 * side, y0 - 0.35, "tl.program_id(1) = 0", size=9)
    sheet.label(x0 + 6 * side, y0 - 0.35, "tl.program_id(1) = 1", size=9)
    sheet.label(x0 - 2.7, y0 + side, "tl.program_id(0)\n= 0", size=9, align="right")
    sheet.label(x0 - 2.7, y0 + 3 * side, "tl.program_id(0)\n= 1", size=9, align="right")
    sheet.save("07_table")


def tile():
    """One tile of X Y^T: BM rows of X, BN rows of Y, BK dimensions at a time."""
    sheet = Sheet(17, 8.6)
    # X on the left of the tile, Y^T above it
    sheet.box(1.0, 3.6, 5.0, 4.2, "", "white")
    sheet.box(1.0, 5.0, 5.0, 1.0, "", PICTURE)
    sheet.box(2.2, 5.0, 1.2, 1.0, "x", "#8fb8e8", size=11)
    sheet.label(1.0, 3.2, "X (M, D)", align="left")
    sheet.label(0.8, 5.5, "BM", align="right", size=9)
    sheet.label(2.8, 6.3, "BK", size=9)
    sheet.arrow((3.5, 5.5), (4.6, 5.5))
    sheet.box(7.0, 0.5, 6.0, 2.6, "", "white")
    sheet.box(9.4, 0.5, 1.4, 2.6, "", TEXT)
    sheet.box(9.4, 1.1, 1.4, 0.7, "y", "#f0b060", size=11)
    sheet.label(13.3, 1.4, "Y (N, D),\nlying on its side", align="left", size=9)
    sheet.label(10.1, 0.25, "BN", size=9)
    sheet.label(11.0, 1.45, "BK", size=9, align="left")
    sheet.arrow((10.1, 1.9), (10.1, 2.8))
    sheet.box(7.0, 3.6, 6.0, 4.2, "", "white")
    sheet.box(9.4, 5.0, 1.4, 1.0, "tile", MATCH, size=11)
    sheet.label(13.3, 5.5, "the program's tile\nof X Yᵀ (M, N)", align="left", size=9)
    sheet.label(7.0, 8.2, "the rest belongs to other programs", align="left", size=9)
    sheet.label(1.0, 8.2, "each step of the loop: tile += x yᵀ", align="left", size=9)
    sheet.arrow((6.0, 5.5), (9.4, 5.5))
    sheet.arrow((10.1, 3.1), (10.1, 5.0))
    sheet.save("07_tile")


def fused():
    """The fused kernel: a program's tiles live for a moment, and only their sums are stored."""
    sheet = Sheet(16.5, 7.2)
    sheet.box(1.0, 3.0, 1.6, 3.4, "", "white")
    sheet.box(1.0, 4.0, 1.6, 0.9, "BM rows", PICTURE, size=9)
    sheet.label(1.8, 2.6, "X (M, D)")
    sheet.box(4.0, 0.8, 8.0, 1.2, "", "white")
    for j in range(4):
        fill = TEXT if j == 1 else "white"
        sheet.box(4.0 + 2 * j, 0.8, 2.0, 1.2, "BN rows" if j == 1 else "", fill, size=9)
    sheet.label(8.0, 0.4, "Y (N, D)")
    for j in range(4):
        fill = MATCH if j == 1 else "white"
        style = "sum of 2ˢ" if j == 1 else ("forgotten" if j == 0 else "later")
        sheet.box(4.0 + 2 * j, 4.0, 2.0, 0.9, style, fill, size=9, edge=DARK if j == 1 else PALE)
    sheet.arrow((2.6, 4.45), (4.0, 4.45))
    sheet.arrow((7.0, 2.0), (7.0, 4.0))
    sheet.label(8.0, 3.1, "one tile at a time, in the program", size=9, align="left")
    sheet.arrow((8.0, 5.3), (11.9, 5.3))
    sheet.label(8.0, 5.7, "the loop over columns", size=9, align="left")
    sheet.box(13.6, 3.0, 1.0, 3.4, "", "white")
    sheet.box(13.6, 4.0, 1.0, 0.9, "sums", PICTURE, size=9)
    sheet.label(14.1, 2.6, "Z (M,)")
    sheet.arrow((12.0, 4.45), (13.6, 4.45))
    sheet.label(
        4.0, 6.7, "memory holds X, Y and Z; the M x N matrix is never there", size=9, align="left"
    )
    sheet.save("07_fused")


def main():
    for figure in (copy, blocks, rows, table, tile, fused):
        figure()


if __name__ == "__main__":
    main()
