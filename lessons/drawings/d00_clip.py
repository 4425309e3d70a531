"""Diagrams of lesson 00: the two towers, the classifier made of words, and the map of the course."""

from pen import DARK, MATCH, PICTURE, PLAIN, TEXT, Sheet


def towers():
    """Pictures and captions through their towers, into the table of N x N similarities."""
    sheet = Sheet(20, 10.6)
    things = (("♥", "heart"), ("☀", "sun"), ("⚑", "flag"))
    for i, (symbol, name) in enumerate(things):
        y = 4.1 + 1.7 * i
        sheet.box(0.4, y, 1.4, 1.4, symbol, "white", 26)
        sheet.arrow((1.8, y + 0.7), (2.9, y + 0.7))
        sheet.arrow((5.5, y + 0.7), (6.4, y + 0.7))
        sheet.cells(
            6.4, y + 0.35, [["", "", "", ""]], 0.6, {(0, j): PICTURE for j in range(4)}, 9, 0.7
        )
        sheet.arrow((8.8, y + 0.7), (11.2, y + 0.7))
    sheet.box(2.9, 4.1, 2.6, 4.8, "picture\ntower", PICTURE, 13)
    sheet.label(1.1, 9.5, "N pictures", 10)
    sheet.label(7.6, 9.5, "N features", 10)

    for j, (_, name) in enumerate(things):
        x = 11.2 + 1.7 * j
        sheet.label(x + 0.85, 0.4, f'"{name}"', 10)
    sheet.box(11.2, 0.8, 5.1, 1.0, "text tower", TEXT, 13)
    for j in range(3):
        x = 11.2 + 1.7 * j
        sheet.arrow((x + 0.85, 1.8), (x + 0.85, 2.1))
        sheet.cells(
            x + 0.35, 2.1, [["", "", "", ""]], 0.25, {(0, k): TEXT for k in range(4)}, 9, 0.8
        )
        sheet.arrow((x + 0.85, 2.9), (x + 0.85, 4.1))
    sheet.label(17.6, 0.4, "N captions", 10)
    sheet.label(17.6, 2.5, "N features", 10)

    match = {(i, i): MATCH for i in range(3)}
    table = [["large" if i == j else "small" for j in range(3)] for i in range(3)]
    sheet.cells(11.2, 4.1, table, 1.7, match, 11)
    sheet.label(13.75, 9.6, "the table of N x N similarities", 11)
    sheet.label(13.75, 10.2, "green: a picture and its own caption", 9)
    sheet.save("00_towers")


def classifier():
    """The zero-shot classifier: one row of the table, then a softmax."""
    sheet = Sheet(20, 7.6)
    words = ("house", "smile", "sad")
    sheet.box(8.5, 0.8, 5.7, 1.0, "text tower", TEXT, 12)
    for j, word in enumerate(words):
        x = 8.5 + 1.9 * j
        sheet.label(x + 0.95, 0.4, f'"{word}"', 10)
        sheet.arrow((x + 0.95, 1.8), (x + 0.95, 2.1))
        sheet.cells(x + 0.45, 2.1, [[""] * 4], 0.25, {(0, k): TEXT for k in range(4)}, 9, 0.7)
        sheet.arrow((x + 0.95, 2.8), (x + 0.95, 3.4))
    sheet.box(0.4, 3.3, 1.4, 1.4, "⌂", "white", 28)
    sheet.arrow((1.8, 4.0), (2.5, 4.0))
    sheet.box(2.5, 3.3, 2.2, 1.4, "picture\ntower", PICTURE, 12)
    sheet.arrow((4.7, 4.0), (5.3, 4.0))
    sheet.cells(5.3, 3.65, [[""] * 4], 0.6, {(0, k): PICTURE for k in range(4)}, 9, 0.7)
    sheet.arrow((7.7, 4.0), (8.5, 4.0))
    sheet.cells(8.5, 3.4, [["large", "small", "small"]], 1.9, {(0, 0): MATCH}, 11, 1.2)
    sheet.label(14.5, 4.0, "cosines", 11, "left")
    for j in range(3):
        x = 9.45 + 1.9 * j
        sheet.arrow((x, 4.6), (x, 5.0))
        sheet.arrow((x, 5.8), (x, 6.2))
    sheet.box(8.5, 5.0, 5.7, 0.8, "times the scale; softmax", PLAIN, 11)
    sheet.cells(8.5, 6.2, [["near 1", "near 0", "near 0"]], 1.9, {(0, 0): MATCH}, 11, 1.0)
    sheet.label(14.5, 6.7, "the classes' shares", 11, "left")
    sheet.save("00_classifier")


def course():
    """The map of the course: groups of lessons, and which lead to which."""
    sheet = Sheet(20, 9.6)

    def group(x, y, width, title, lessons, fill):
        sheet.box(x, y, width, 1.9, "", fill)
        sheet.label(x + width / 2, y + 0.5, title, 11, weight="bold")
        sheet.label(x + width / 2, y + 1.3, lessons, 9)

    group(0.4, 3.8, 3.9, "The whole idea", "00 What CLIP is\n01 Train one", MATCH)
    sheet.label(2.35, 3.4, "begin here", 10)
    groups = [
        ("The towers", "02 BPE   03 text Transformer\n04 ResNet   05 ViT"),
        ("The loss", "06 The contrastive loss\nand its temperature"),
        ("What a CLIP can do", "13 zero-shot   14 probes\n15 shift   16 overlap"),
    ]
    around = "17 Learning from names   18 The race\nof objectives   19 Fine-tuning"
    kernels = "07 Triton   08, 08b forward   09 backward\n10 sharding   10b how a GPU works"
    further = [
        ("A training run", "11 The recipe   12 What a run costs"),
        ("The loss on a GPU", kernels),
        ("Around it", around),
    ]
    for y, left, right in zip((0.4, 3.8, 7.2), groups, further):
        group(5.7, y, 5.2, *left, PLAIN)
        group(12.3, y, 7.2, *right, PLAIN)
    sheet.arrow((4.3, 4.3), (5.7, 1.6), color=DARK)
    sheet.arrow((4.3, 4.75), (5.7, 4.75))
    sheet.arrow((4.3, 5.2), (5.7, 7.9))
    for y in (1.35, 4.75, 8.15):
        sheet.arrow((10.9, y), (12.3, y))
    sheet.save("00_map")


def main():
    towers()
    classifier()
    course()


if __name__ == "__main__":
    main()
