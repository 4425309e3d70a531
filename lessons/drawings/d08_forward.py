"""The diagrams of lesson 08: a running maximum, two maxima, float32's range.

python lessons/drawings/d08_forward.py
"""

import math
import sys
from pathlib import Path

import torch
from pen import FIGURES, MATCH, PICTURE, PLAIN, TEXT, Sheet, plt

sys.path.append(str(Path(__file__).parents[2]))  # the checkout

from kernels.softmax import fixed_shift


def online():
    """Row 1 of the three pairs, 1 3 1 in bits, element by element."""
    sheet = Sheet(18, 5.6)
    for k, head in enumerate(("new element", "highest so far", "z, the sum of 2^(S - highest)")):
        sheet.label((3.0, 6.6, 12.6)[k], 0.5, head, 10)
    steps = [
        ("1", "1", "1"),
        ("3", "3", "1 x 1/4  +  1  =  1.25"),
        ("1", "3", "1.25  +  1/4  =  1.5"),
    ]
    for i, (new, highest, z) in enumerate(steps):
        y = 1.0 + 1.4 * i
        sheet.box(2.4, y, 1.2, 0.9, new, MATCH if i == 1 else "white", 12)
        sheet.box(6.0, y, 1.2, 0.9, highest, PLAIN, 12)
        sheet.box(9.6, y, 6.0, 0.9, z, PICTURE, 11)
        sheet.arrow((3.8, y + 0.45), (5.8, y + 0.45))
        sheet.arrow((7.4, y + 0.45), (9.4, y + 0.45))
    for i in (1, 2):
        sheet.arrow((12.6, 0.5 + 1.4 * i), (12.6, 0.97 + 1.4 * i))
    sheet.label(12.6, 5.15, "1.5 x 2^3 = 12, the row's sum", 10)
    sheet.label(4.8, 5.15, "kept: two numbers for a row", 10)
    sheet.save("08_online")


def maxima():
    """The three pairs at scale 100: an element has one maximum in its row and another in its column."""
    sheet = Sheet(18, 6.4)
    sheet.label(4.2, 0.5, "S in bits, at scale 100", 10)
    rows = [["129.8", "0", "0"], ["43.3", "129.8", "43.3"], ["0", "0", "0"]]
    fills = {(i, i): MATCH for i in range(3)} | {(2, 0): "#f6c6c0"}
    sheet.cells(2.0, 1.0, rows, 1.5, fills, 11, height=1.1)
    for i, highest in enumerate(("129.8", "129.8", "0")):
        sheet.box(6.8, 1.0 + 1.1 * i, 1.5, 1.1, highest, PICTURE, 11)
    for j, highest in enumerate(("129.8", "129.8", "43.3")):
        sheet.box(2.0 + 1.5 * j, 4.6, 1.5, 0.9, highest, TEXT, 11)
    sheet.label(8.0, 0.5, "row's maximum", 9)
    sheet.label(4.25, 5.9, "column's maximum", 9)
    sheet.label(9.2, 2.0, "the red 0 in its row:          2^(0 - 0)  =  1", 10, "left")
    sheet.label(9.2, 2.8, "the red 0 in its column:  2^(0 - 129.8), about 0", 10, "left")
    sheet.label(9.2, 3.9, "two shifts, so two exponentials", 10, "left", weight="bold")
    sheet.save("08_maxima")


def float_range():
    """The exponents of 64 random rows with two shifts, and what float32 makes of them."""
    drawn = torch.randn(2, 64, 512, generator=torch.Generator().manual_seed(0))
    rows, columns = torch.nn.functional.normalize(drawn, dim=2)
    scale_log2 = torch.tensor(100 / math.log(2))
    shift, floor = fixed_shift(scale_log2, 64)
    s = (scale_log2 * rows @ columns.T).flatten()
    figure, axis = plt.subplots(figsize=(8, 3.6))
    axis.hist(s - scale_log2, bins=40, alpha=0.6, label="shift: 144.27, the scale")
    axis.hist(s - shift, bins=40, alpha=0.6, label=f"shift: {shift:.0f}, chosen")
    axis.axvspan(-260, -126, color="tab:red", alpha=0.15, label="flushed to zero")
    axis.axvspan(128, 160, color="black", alpha=0.15, label="overflow")
    axis.axvline(math.log2(floor), color="black", ls=":", label="floor for a sum")
    axis.set(xlabel="exponent of 2^(S - shift)", ylabel="similarities", xlim=(-260, 160))
    axis.legend(fontsize=9, loc="upper right"), figure.tight_layout()
    figure.savefig(FIGURES / "08_range.png", dpi=80, metadata={"Software": None})


def main():
    online()
    maxima()
    float_range()


if __name__ == "__main__":
    main()
