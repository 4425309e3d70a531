"""The figures of lesson 05: numbers and an apple cut into patches, the tower, and resized positions."""

import pen
from pen import PICTURE, PLAIN, Sheet
from PIL import Image

from miniclip.data.emoji.drawings import draw_all

FOUR = ["#cfe0f5", "#d9cdf0", "#cdeee6", "#f5e6c8"]
FIRST = "#fff0b3"


def cut():
    """A picture of 4 x 4 numbers, its four patches as a list, and the token that a matrix makes of each."""
    sheet = Sheet(17.5, 6.2)
    rows = [[4 * i + j for j in range(4)] for i in range(4)]
    fills = {(i, j): FOUR[i // 2 * 2 + j // 2] for i in range(4) for j in range(4)}
    sheet.label(2.4, 0.6, "picture, 4 x 4", 10, weight="bold")
    sheet.cells(0.4, 1.1, rows, 1.0, fills, 11)
    sheet.arrow((4.7, 3.1), (6.0, 3.1))
    sheet.label(5.35, 2.7, "cut", 10)
    sheet.label(8.6, 0.6, "patches of 2 x 2", 10, weight="bold")
    sheet.label(13.2, 0.6, "matrix", 10, weight="bold")
    sheet.label(15.9, 0.6, "tokens", 10, weight="bold")
    for k in range(4):
        top, left = k // 2 * 2, k % 2 * 2
        numbers = [rows[top + i][left + j] for i in (0, 1) for j in (0, 1)]
        y = 1.1 + 1.05 * k
        sheet.label(6.6, y + 0.4, str(k), 10)
        sheet.cells(7.0, y, [numbers], 0.9, {(0, j): FOUR[k] for j in range(4)}, 11, height=0.8)
        sheet.arrow((10.7, y + 0.4), (12.3, y + 0.4))
        sheet.arrow((14.1, y + 0.4), (15.0, y + 0.4))
        total, growth = sum(numbers), numbers[2] + numbers[3] - numbers[0] - numbers[1]
        sheet.cells(15.1, y, [[total, growth]], 0.9, {(0, j): FOUR[k] for j in (0, 1)}, 11, 0.8)
    sheet.box(12.4, 1.1, 1.7, 3.95, "4 x 2", PLAIN)
    sheet.label(
        8.7,
        5.7,
        "The same matrix for every patch: here, the sum of the four numbers, and lower row minus upper row.",
        9,
    )
    sheet.save("05_cut")


def tower():
    """From a picture of four patches to a feature."""
    sheet = Sheet(18.5, 8.0)
    sheet.label(1.5, 2.0, "picture", 10, weight="bold")
    for k in range(4):
        sheet.box(0.5 + k % 2, 2.6 + k // 2, 1, 1, str(k), FOUR[k], 11)
    sheet.arrow((2.7, 3.6), (3.7, 3.6))
    names = ["class", "patch 0", "patch 1", "patch 2", "patch 3"]
    sheet.label(4.7, 0.6, "tokens", 10, weight="bold")
    sheet.label(7.6, 0.6, "positions", 10, weight="bold")
    for i, name in enumerate(names):
        y, fill = 1.1 + 1.1 * i, [FIRST, *FOUR][i]
        sheet.box(3.8, y, 1.8, 0.8, name, fill, 9)
        sheet.label(6.1, y + 0.4, "+", 11)
        sheet.box(6.6, y, 1.9, 0.8, f"position {i}", PLAIN, 9)
        sheet.arrow((8.5, y + 0.4), (9.3, y + 0.4))
        sheet.arrow((10.4, y + 0.4), (11.1, y + 0.4))
        if i:
            sheet.arrow((13.3, y + 0.4), (13.8, y + 0.4))
            sheet.label(14.0, y + 0.4, "not used", 9, "left")
    sheet.box(9.3, 1.1, 1.1, 5.2, "ln_pre", PLAIN, 9)
    sheet.box(11.1, 1.1, 2.2, 5.2, "Transformer\nblocks:\neach token\nreads all", PICTURE, 9)
    sheet.arrow((13.3, 1.5), (14.2, 1.5))
    sheet.box(14.2, 1.1, 1.3, 0.8, "ln_post", PLAIN, 9)
    sheet.arrow((15.5, 1.5), (16.0, 1.5))
    sheet.box(16.0, 1.1, 0.9, 0.8, "proj", PLAIN, 9)
    sheet.arrow((16.9, 1.5), (17.4, 1.5))
    sheet.box(17.45, 0.4, 0.5, 2.2, "", PICTURE)
    sheet.label(17.5, 3.0, "feature", 10, weight="bold")
    text = "The class token is a learned vector. It belongs to no patch, and what the blocks make of it becomes the feature."
    sheet.label(9.25, 7.3, text, 9)
    sheet.save("05_tower")


def resize():
    """A list of 1 + 4 positions becomes a grid, the grid grows, and becomes a list of 1 + 9."""
    sheet = Sheet(17, 6.8)
    sheet.label(1.4, 0.5, "1 + 4", 10, weight="bold")
    for i in range(5):
        fill = [FIRST, *FOUR][i]
        sheet.box(0.5, 1.0 + 0.8 * i, 1.8, 0.7, "class" if i == 0 else f"patch {i - 1}", fill, 9)
    sheet.arrow((2.4, 1.35), (14.2, 1.35))
    sheet.label(8.3, 1.0, "kept as it is", 9)
    sheet.arrow((2.4, 3.4), (3.8, 3.4))
    sheet.label(3.1, 3.0, "grid", 9)
    for k in range(4):
        sheet.box(4.0 + 1.2 * (k % 2), 2.2 + 1.2 * (k // 2), 1.2, 1.2, str(k), FOUR[k], 11)
    sheet.label(5.2, 5.1, "2 x 2 vectors", 9)
    sheet.arrow((6.7, 3.4), (8.5, 3.4))
    sheet.label(7.6, 2.75, "resize like", 9)
    sheet.label(7.6, 3.1, "a picture", 9)
    mixed = [
        FOUR[0],
        "#d4d6f2",
        FOUR[1],
        "#cee7ee",
        "#dce3e8",
        "#e7dadc",
        FOUR[2],
        "#e1ead7",
        FOUR[3],
    ]
    for k in range(9):
        sheet.box(8.8 + 0.9 * (k % 3), 2.05 + 0.9 * (k // 3), 0.9, 0.9, "", mixed[k])
    sheet.label(10.15, 5.1, "3 x 3 vectors", 9)
    sheet.arrow((11.8, 3.4), (14.2, 3.4))
    sheet.label(13.0, 3.0, "list", 9)
    sheet.label(15.3, 0.5, "1 + 9", 10, weight="bold")
    sheet.box(14.4, 1.0, 1.8, 0.7, "class", FIRST, 9)
    for k in range(9):
        sheet.box(14.4, 1.8 + 0.45 * k, 1.8, 0.42, "", mixed[k])
    text = "Each position is a vector. The vectors of neighbouring patches are mixed where the new grid is finer."
    sheet.label(8.5, 6.4, text, 9)
    sheet.save("05_resize")


def patches():
    """An apple of 64 x 64 pixels with the lines of its 16 patches, and four of the patches."""
    drawing = Image.fromarray(draw_all(["1F34E"])[0])
    figure, axes = pen.plt.subplots(
        1, 5, figsize=(8.5, 2.6), width_ratios=[7, 4, 4, 4, 4], layout="constrained"
    )
    axes[0].imshow(drawing)
    axes[0].set(xticks=range(0, 65, 16), yticks=range(0, 65, 16))
    axes[0].grid(color="k")
    for axis, (row, column) in zip(axes[1:], [(0, 0), (0, 2), (1, 1), (2, 3)]):
        axis.imshow(drawing.crop((16 * column, 16 * row, 16 * column + 16, 16 * row + 16)))
        axis.set(title=f"patch {4 * row + column}", xticks=[], yticks=[])
    figure.savefig(pen.FIGURES / "05_patches.png", dpi=80)


def main():
    cut()
    patches()
    tower()
    resize()


if __name__ == "__main__":
    main()
