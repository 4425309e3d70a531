"""The figures of lesson 11: the learning rate, the bits of three types, and a batch in four parts.

python lessons/drawings/d11_recipe.py
"""

import pen
from pen import PICTURE, PLAIN, TEXT, Sheet

from miniclip.training.recipe import schedule

SIGN, EXPONENT, FRACTION = PLAIN, TEXT, PICTURE


def learning_rate():
    """The share of the peak over the paper's 390,625 steps, and over the first 8,000 of them."""
    steps, warmup = 390_625, 2_000
    figure, axes = pen.plt.subplots(1, 2, figsize=(7, 2.4), layout="tight")
    for ax, last in zip(axes, (steps, 8_000)):
        shown = [last * i / 1000 for i in range(1001)]
        ax.plot(shown, [schedule(step / steps, warmup / steps) for step in shown])
        ax.set(xlabel="step", ylabel="share of peak lr")
    axes[0].set_title("the whole run")
    axes[1].set_title("its first 8,000 steps")
    figure.savefig(pen.FIGURES / "11_schedule.png", dpi=80)


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
    """The three stages, left to right: features without gradients, the loss of all, and each part again."""
    sheet, red, rose = Sheet(19.4, 6.4), "#b02020", "#f3c4c4"
    sheet.box(6.75, 1.6, 1.5, 4.1, "the loss", PLAIN, 9)
    for k in range(4):
        y = 1.6 + 1.1 * k
        middle = y + 0.4
        for x in (0.2, 11.2):
            sheet.box(x, y, 1.5, 0.8, "16 pairs", PLAIN, 8)
            sheet.box(x + 2.1, y, 1.5, 0.8, "towers", PLAIN, 8)
            sheet.box(x + 4.4, y, 0.6, 0.8, "", PICTURE)
            sheet.box(x + 5.0, y, 0.6, 0.8, "", TEXT)
            sheet.arrow((x + 1.5, middle), (x + 2.1, middle))
        sheet.arrow((3.8, middle), (4.6, middle))
        sheet.arrow((5.8, middle), (6.75, middle))
        sheet.arrow((8.25, middle), (9.0, middle), color=red)
        for x in (9.0, 17.7):
            sheet.box(x, y, 1.4, 0.8, f"gradient {k}", rose, 7)
        sheet.arrow((14.8, middle - 0.2), (15.6, middle - 0.2))
        sheet.arrow((17.7, middle), (16.8, middle), color=red)
        sheet.arrow((15.6, middle + 0.2), (14.8, middle + 0.2), color=red)
    for k, (x, first, second) in enumerate(
        (
            (2.9, "features of each part,", "no activations kept"),
            (8.55, "the loss of all, and the", "gradient of each feature"),
            (15.1, "each part again, with activations,", "then back from its gradients (red)"),
        )
    ):
        sheet.label(x, 0.5, f"{k + 1}. {first}", 9.5)
        sheet.label(x, 1.0, second, 9.5)
    sheet.save("11_microbatch")


def main():
    learning_rate()
    bits()
    microbatch()


if __name__ == "__main__":
    main()
