"""The diagram of lesson 12: what six blocks keep for the backward pass.

python lessons/drawings/d12_cost.py
"""

from pen import PICTURE, PLAIN, Sheet


def checkpoint():
    """Nine cells (36 bytes) for each block, or one cell (4 bytes) and one whole block at a time.

    The backward pass goes from the last block to the first, and has arrived at the fourth.
    """
    sheet, side, bottom = Sheet(18.5, 6.5), 0.38, 4.8
    for k in range(6):
        for x, kept in ((1.2, 9), (10.4, (1, 1, 1, 9, 0, 0)[k])):
            left = x + 1.2 * k
            for n in range(kept):
                again = x > 10 and n > 0
                sheet.box(left, bottom - side * (n + 1), 0.9, side, "", PLAIN if again else PICTURE)
            sheet.label(left + 0.45, bottom + 0.3, f"block {k + 1}", 7.5)
            if not kept:
                sheet.label(left + 0.45, bottom - 0.2, "done", 8)
    for x, *lines in (
        (
            4.65,
            "without checkpointing",
            "each block keeps 36 bytes",
            "until the backward pass uses them",
        ),
        (
            13.85,
            "with checkpointing",
            "each block keeps 4 bytes, its input (blue);",
            "block 4 is computed again (grey)",
        ),
    ):
        for y, size, line in zip((0.5, 5.65, 6.1), (11, 8.5, 8.5), lines):
            sheet.label(x, y, line, size)
    sheet.save("12_checkpoint")


def main():
    checkpoint()


if __name__ == "__main__":
    main()
