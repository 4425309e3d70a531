"""The diagrams of lesson 12: what six blocks keep for the backward pass, and the memory of three runs.

python lessons/drawings/d12_cost.py
"""

import sys
from pathlib import Path

from pen import DARK, MATCH, PICTURE, PLAIN, TEXT, Sheet

sys.path.append(str(Path(__file__).parents[2]))  # the checkout

from miniclip.cost.plan import GIB, plan


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
            "36 bytes for each number of x",
            "stay until the backward pass uses them",
        ),
        (
            13.85,
            "with checkpointing",
            "4 bytes for each number: the input x (blue);",
            "block 4 is computed again (grey)",
        ),
    ):
        for y, size, line in zip((0.5, 5.65, 6.1), (11, 8.5, 8.5), lines):
            sheet.label(x, y, line, size)
    sheet.save("12_checkpoint")


def memory():
    """A bar for each of three plans, cut into what fills it, and a line where the card ends."""
    paper = dict(model="vit_l14", world=256, gpu="v100")
    runs = {
        "vit_l14, 128 pairs\non a V100": plan(**paper),
        "the same run,\ncheckpointed": plan(**paper, grad_checkpointing=True),
        "vit_b32, 256 pairs\non an RTX 4090": plan(
            "vit_b32", gpu="rtx4090", batch_size=8192, micro_batch=256
        ),
    }
    kinds = dict(weights=PLAIN, gradients=TEXT, moments=MATCH, activations=PICTURE, rest="white")
    sheet, left, unit = Sheet(18.5, 7.4), 3.9, 0.32  # cm for a GiB
    for k, (kind, fill) in enumerate(kinds.items()):
        x = (0.4, 6.1, 9.0, 11.8, 14.9)[k]
        names = dict(weights="weights and 16-bit copies", rest="loss, pictures")
        sheet.box(x, 0.4, 0.45, 0.45, "", fill)
        sheet.label(x + 0.6, 0.62, names.get(kind, kind), 9, "left")
    for row, (name, run) in enumerate(runs.items()):
        x, y = left, 2.0 + 1.9 * row
        sheet.label(left - 0.3, y + 0.5, name, 9.5, "right")
        for kind, fill in kinds.items():
            parts = (
                size
                for what, size in run["memory"].items()
                if next((other for other in kinds if other in what), "rest") == kind
            )
            width = unit * sum(parts) / GIB
            sheet.box(x, y, width, 1.0, "", fill)
            x += width
        total, room = run["memory_bytes"] / GIB, run["gpu_bytes"] / GIB
        end = left + unit * room
        sheet.axes.plot([end, end], [y - 0.2, y + 1.2], color="#b02020", lw=1.8)
        sheet.label(end, y - 0.38, f"the card: {room:.0f} GiB", 8, color="#b02020")
        sheet.label(x + 0.15, y + 0.5, f"{total:.0f} GiB", 9.5, "left", DARK)
    sheet.save("12_memory")


def main():
    checkpoint()
    memory()


if __name__ == "__main__":
    main()
