"""The diagrams of lesson 11: the bits of three types, and a batch that is computed part by part.

python lessons/drawings/d11_recipe.py
"""

from pen import PICTURE, PLAIN, TEXT, Sheet

SIGN, EXPONENT, FRACTION = PLAIN, TEXT, PICTURE


def bits():
    """float32, bfloat16 and float16, a box for each bit; bfloat16 is the upper half of float32."""
    sheet, side = Sheet(18.5, 5.1), 0.46
    x = 3.4
    for row, (name, exponent, fraction) in enumerate(
        (("float32", 8, 23), ("bfloat16", 8, 7), ("float16", 5, 10))
    ):
        y = 0.9 + 1.65 * row
        fills = [SIGN] + [EXPONENT] * exponent + [FRACTION] * fraction
        for k, fill in enumerate(fills):
            sheet.box(x + side * k, y, side, 0.6, "", fill)
        sheet.label(x - 0.25, y + 0.3, name, 11, "right")
        sheet.label(x + side * (1 + exponent / 2), y - 0.28, f"exponent, {exponent} bits", 8)
        middle = x + side * (1 + exponent + fraction / 2)
        sheet.label(middle, y - 0.28, f"fraction, {fraction} bits", 8)
    sheet.label(x + side / 2, 0.62, "sign", 8)
    cut = x + 16 * side
    sheet.axes.plot([cut, cut], [0.5, 3.45], color="#333333", lw=1.2, ls="--")
    sheet.label(cut + 0.25, 2.85, "bfloat16 is the upper half of a float32:", 8.5, "left")
    sheet.label(cut + 0.25, 3.25, "all of its sizes, fewer digits", 8.5, "left")
    sheet.label(cut + 0.25, 4.5, "float16: fewer sizes, more digits", 8.5, "left")
    sheet.save("11_bits")


def microbatch():
    """The three stages: features without gradients, the loss of all, back through each part."""
    sheet, red, rose = Sheet(19.4, 6.4), "#b02020", "#f3c4c4"
    for k in range(4):
        y = 1.6 + 1.1 * k
        middle = y + 0.4
        for x, text in ((0.3, "16 pairs"), (2.4, "towers"), (15.6, "towers"), (17.7, "16 pairs")):
            sheet.box(x, y, 1.5, 0.8, text, PLAIN, 8)
        for x in (4.5, 6.9, 13.4):
            sheet.box(x, y, 0.6, 0.8, "", PICTURE)
            sheet.box(x + 0.6, y, 0.6, 0.8, "", TEXT)
        for start, end in ((1.8, 2.4), (3.9, 4.5), (5.75, 6.85)):
            sheet.arrow((start, middle), (end, middle))
        for start, end in ((17.7, 17.1), (15.6, 14.6)):  # forward again, from right to left
            sheet.arrow((start, middle - 0.2), (end, middle - 0.2))
        sheet.box(11.5, y, 1.2, 0.8, "gradient", rose, 7)
        sheet.arrow((12.7, middle), (13.4, middle), color=red)
        sheet.arrow((14.6, middle + 0.2), (15.6, middle + 0.2), color=red)  # and backward
    sheet.box(8.9, 3.2, 1.7, 0.8, "the loss", PLAIN, 9)
    sheet.arrow((8.15, 3.6), (8.9, 3.6))
    sheet.arrow((10.6, 3.6), (11.5, 3.6), color=red)
    for k, (x, first, second) in enumerate(
        (
            (2.9, "features of each part,", "no activations kept"),
            (9.8, "the loss of all features,", "a gradient for each of them"),
            (16.0, "from the right: each part again,", "then back from its gradients (red)"),
        )
    ):
        sheet.label(x, 0.5, f"{k + 1}. {first}", 9.5)
        sheet.label(x, 1.0, second, 9.5)
    sheet.save("11_microbatch")


def main():
    bits()
    microbatch()


if __name__ == "__main__":
    main()
