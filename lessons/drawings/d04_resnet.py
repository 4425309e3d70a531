"""The diagrams of lesson 04: the whole tower, one block that halves the grid, and the attention pool."""

from pen import PICTURE, PLAIN, Sheet

BARE, BLUR, MEAN = "#f2b8b5", "#d9cdf0", "#fff0b3"


def tower():
    """From 224 x 224 pixels to one vector: where rn50 halves its grid."""
    sheet = Sheet(19, 6.4)
    parts = [  # side of the grid, channels, name, how many blocks, what halves the grid before it
        ("224 x 224", "3", "picture", "", None),
        ("112 x 112", "64", "stem", "3 convolutions", "stride"),
        ("56 x 56", "256", "stage 1", "3 blocks", "blur"),
        ("28 x 28", "512", "stage 2", "4 blocks", "blur"),
        ("14 x 14", "1,024", "stage 3", "6 blocks", "blur"),
        ("7 x 7", "2,048", "stage 4", "3 blocks", "blur"),
    ]
    for i, (grid, channels, name, blocks, halves) in enumerate(parts):
        side, middle = 1.9 - 0.25 * i, 1.3 + 2.75 * i
        sheet.box(middle - side / 2, 2.6 - side / 2, side, side, "", PICTURE)
        sheet.label(middle, 0.8, name, 11, weight="bold")
        sheet.label(middle, 4.2, grid, 10)
        sheet.label(middle, 4.75, f"{channels} channels", 9)
        sheet.label(middle, 5.25, blocks, 9)
        if halves:
            before = 1.3 + 2.75 * (i - 1)
            sheet.arrow(
                (before + (2.15 - 0.25 * i) / 2 + 0.05, 2.6), (middle - side / 2 - 0.05, 2.6)
            )
            fill = BARE if halves == "stride" else BLUR
            sheet.box((before + middle) / 2 - 0.5, 1.0, 1.0, 0.6, halves, fill, 9)
    sheet.arrow((15.5, 2.6), (16.9, 2.6))
    sheet.label(16.15, 2.0, "attention", 9)
    sheet.label(16.15, 2.3, "pool", 9)
    sheet.box(17.05, 1.35, 0.5, 2.5, "", PICTURE)
    sheet.label(17.6, 0.8, "feature", 11, weight="bold")
    sheet.label(17.6, 4.2, "1,024", 10)
    sheet.label(17.6, 4.75, "numbers", 9)
    text = "A box above an arrow says how the grid is halved: once by a bare stride, four times by a blur."
    sheet.label(9.5, 6.0, text, 9)
    sheet.save("04_tower")


def bottleneck():
    """The first block of rn50's stage 2: two paths, and both blur before they halve the grid."""
    sheet = Sheet(17, 8.4)
    sheet.box(0.3, 3.2, 2.7, 1.6, "input\n256 channels\n56 x 56", PICTURE)
    main = [
        (3.6, "1x1\nto 128\n56 x 56", PLAIN),
        (6.2, "3x3\n128\n56 x 56", PLAIN),
        (8.8, "blur\n2x2\n28 x 28", BLUR),
        (11.4, "1x1\nto 512\n28 x 28", PLAIN),
    ]
    for x, text, fill in main:
        sheet.box(x, 1.2, 1.9, 1.7, text, fill)
    for x, text, fill in [
        (8.8, "blur\n2x2\n28 x 28", BLUR),
        (11.4, "1x1\nto 512\n28 x 28", PLAIN),
    ]:
        sheet.box(x, 5.1, 1.9, 1.7, text, fill)
    sheet.arrow((1.6, 3.2), (3.6, 2.05), bend=-0.25)
    for x in (5.5, 8.1, 10.7):
        sheet.arrow((x, 2.05), (x + 0.7, 2.05))
    sheet.arrow((1.6, 4.8), (8.8, 5.95), bend=0.12)
    sheet.arrow((10.7, 5.95), (11.4, 5.95))
    sheet.arrow((13.3, 2.05), (14.3, 3.6), bend=-0.2)
    sheet.arrow((13.3, 5.95), (14.3, 4.4), bend=0.2)
    sheet.box(13.8, 3.6, 1.0, 0.8, "+", MEAN, 14)
    sheet.arrow((14.8, 4.0), (15.3, 4.0))
    sheet.box(15.3, 3.4, 1.4, 1.2, "ReLU", PLAIN)
    sheet.label(5.6, 0.7, "main path", 11, "left", weight="bold")
    sheet.label(5.6, 7.2, "shortcut", 11, "left", weight="bold")
    sheet.label(
        8.5,
        8.0,
        "A batch norm follows each convolution; a ReLU follows the first two of the main path.",
        9,
    )
    sheet.save("04_bottleneck")


def pool():
    """A 2 x 2 grid becomes five cells, of which the mean asks all five."""
    sheet = Sheet(18, 7.6)
    names = [["a", "b"], ["c", "d"]]
    sheet.cells(0.4, 2.6, names, 1.0, {(i, j): PICTURE for i in (0, 1) for j in (0, 1)}, 11)
    sheet.label(1.4, 2.1, "last grid", 10, weight="bold")
    sheet.arrow((2.5, 3.6), (3.6, 3.6))
    sheet.label(3.05, 3.2, "a list", 9)
    for i, name in enumerate(["mean", "a", "b", "c", "d"]):
        y = 1.1 + 1.1 * i
        fill = MEAN if i == 0 else PICTURE
        sheet.box(3.8, y, 1.5, 0.8, name, fill)
        sheet.label(5.75, y + 0.4, "+", 11)
        sheet.box(6.2, y, 1.9, 0.8, f"position {i}", PLAIN, 9)
        sheet.arrow((8.2, y + 0.4), (9.2, y + 0.4))
        sheet.box(9.2, y, 2.2, 0.8, "key, value", PICTURE, 9)
        if i:
            sheet.arrow((11.5, y + 0.4), (13.2, 3.5 + 0.15 * (i - 2)))
    sheet.arrow((11.5, 1.5), (13.2, 3.2))
    sheet.box(3.6, 0.9, 4.7, 1.2, "", "none")  # the query is made from the sum of both
    sheet.arrow((5.95, 0.9), (13.0, 0.6), bend=-0.08)
    sheet.box(13.0, 0.3, 1.8, 0.8, "query", MEAN)
    sheet.arrow((13.9, 1.1), (14.1, 2.9))
    sheet.box(13.2, 2.9, 1.9, 1.3, "weighted\nmean of\nthe values", BLUR, 9)
    sheet.arrow((15.1, 3.55), (15.6, 3.55))
    sheet.box(15.6, 3.05, 1.0, 1.0, "linear", PLAIN, 9)
    sheet.arrow((16.6, 3.55), (17.1, 3.55))
    sheet.box(17.15, 2.3, 0.5, 2.5, "", PICTURE)
    sheet.label(17.05, 5.2, "feature", 9.5, weight="bold")
    sheet.label(
        9.0,
        7.1,
        "Only the mean asks. It reads all cells, and itself, with weights that its query and their keys decide.",
        9,
    )
    sheet.save("04_pool")


def main():
    tower()
    bottleneck()
    pool()


if __name__ == "__main__":
    main()
