"""The diagrams of lesson 10: which rank holds what, and what crosses between ranks.

python lessons/drawings/d10_sharding.py
"""

from pen import DARK, PLAIN, Sheet

RANKS = ["#e4d3ee", "#fdf0b5", "#cdeae6", "#f6d5d5"]  # of ranks 0 to 3
CROSSES = "#b03030"  # what is sent
EXPONENTIALS = [[8, 1, 1], [2, 8, 2], [1, 1, 1]]


def two_ranks():
    """The forward pass of three pairs on two ranks, with its numbers."""
    sheet = Sheet(17.6, 9.6)
    side = 1.1
    for rank, (x0, rows) in enumerate(((3.2, (0, 1)), (11.6, (2,)))):
        sheet.label(x0 + 1.5 * side, 0.5, f"rank {rank}", size=12)
        for j in range(3):
            own = j // 2 == rank
            sheet.box(
                x0 + j * side, 1.2, side, 0.8, f"c{j}", RANKS[j // 2], edge=DARK if own else CROSSES
            )
        for i, row in enumerate(rows):
            y = 2.4 + i * side
            sheet.box(x0 - 1.4, y, 1.0, side, f"p{row}", RANKS[rank])
            sheet.cells(x0, y, [EXPONENTIALS[row]], side, {(0, j): RANKS[rank] for j in range(3)})
            sheet.label(
                x0 + 3 * side + 0.3, y + side / 2, f"sum {sum(EXPONENTIALS[row])}", 9, "left"
            )
        parts = [sum(EXPONENTIALS[row][j] for row in rows) for j in range(3)]
        sheet.label(x0 - 0.3, 5.85, "part of each\ncolumn's sum", 9, "right")
        sheet.cells(
            x0, 5.4, [parts], side, height=0.9, fills={(0, j): RANKS[rank] for j in range(3)}
        )
        sheet.label(x0 - 0.3, 8.55, "columns' sums", 9, "right")
        sheet.cells(x0, 8.1, [[11, 10, 4]], side, height=0.9)
        sheet.arrow((x0 + 1.5 * side, 6.3), (x0 + 1.5 * side, 8.1), color=CROSSES)
    sheet.arrow((6.6, 1.45), (11.5, 1.45), "c0, c1", color=CROSSES)
    sheet.arrow((11.5, 1.85), (6.6, 1.85), color=CROSSES)
    sheet.label(9.05, 2.15, "c2", 9)
    sheet.arrow((4.9, 7.2), (13.2, 7.2), "parts are added", color=CROSSES)
    sheet.arrow((13.2, 7.2), (4.9, 7.2), color=CROSSES)
    sheet.label(9.05, 7.6, "red: sent between ranks", 9, color=CROSSES)
    sheet.save("10_two_ranks")


def back():
    """The backward pass: each rank has a part of each caption's gradient."""
    sheet = Sheet(18.4, 6.2)
    words = [
        ["-.24 picture 0 + .17 picture 1", ".21 picture 2"],
        [".10 picture 0 - .27 picture 1", ".22 picture 2"],
        [".18 picture 0 + .33 picture 1", "-.71 picture 2"],
    ]
    sheet.label(5.8, 0.5, "rank 0 has", 11)
    sheet.label(10.9, 0.5, "rank 1 has", 11)
    sheet.label(15.8, 0.5, "the sum goes to", 11)
    for j, parts in enumerate(words):
        y, owner = 1.1 + 1.6 * j, j // 2
        sheet.label(2.6, y + 0.55, f"caption {j}", align="right")
        sheet.box(3.0, y, 5.6, 1.1, parts[0], RANKS[0], 9)
        sheet.box(9.4, y, 3.0, 1.1, parts[1], RANKS[1], 9)
        sheet.box(14.7, y, 2.2, 1.1, f"rank {owner}", RANKS[owner])
        sheet.arrow((12.4, y + 0.55), (14.7, y + 0.55), color=CROSSES)
        sheet.label(9.0, y + 0.55, "+", 12)
    sheet.save("10_back")


def settings():
    """What rank 1 of four computes for 12 pairs: global or local logits, gradients kept or not."""
    sheet = Sheet(17.5, 19.4)
    mine, everybody = (3, 4, 5), range(12)
    verdicts = {  # (local, keeps)
        (False, False): (
            "a feature has its whole gradient on one rank",
            "÷ 4: a quarter of the truth",
        ),
        (False, True): ("the gather adds up 4 whole gradients", "÷ 4: the truth"),
        (True, False): (
            "lost: what a feature gets\nwhere it is picked or rejected",
            "÷ 4: another direction",
        ),
        (True, True): ("the gather adds up 4 ranks' parts, each x 4", "÷ 4: the truth"),
    }
    for (local, keeps), (before, after) in verdicts.items():
        x0, y0 = 2.2 + 8.4 * keeps, 10.2 if local else 0.5
        middle = x0 + 2.9
        how = (
            f"{'local' if local else 'global'} logits, gradients {'kept' if keeps else 'not kept'}"
        )
        sheet.label(middle, y0, how, 11, weight="bold")
        if local:
            for k, (one, other) in enumerate((("pictures", "captions"), ("captions", "pictures"))):
                live = everybody if keeps else ()
                table(sheet, x0, y0 + 0.7 + 3.0 * k, (f"own {one}", other), mine, live)
        else:
            live = everybody if keeps else mine
            table(sheet, x0, y0 + 0.7, ("pictures", "captions"), everybody, live, live)
        end = y0 + (6.7 if local else 7.9)
        sheet.label(middle, end, before, 9.5)
        sheet.label(middle, end + 0.7, after, 9.5, weight="bold")
    names = [(RANKS[1], "a logit that rank 1 computes, or a feature to which it gives a gradient")]
    names.append((PLAIN, "a feature that is a constant on rank 1"))
    for k, (fill, name) in enumerate(names):
        sheet.box(1.8, 18.3 + 0.6 * k, 0.5, 0.4, "", fill)
        sheet.label(2.6, 18.5 + 0.6 * k, name, 10, "left")
    sheet.save("10_settings", dpi=90)


def table(sheet, x, y, names, rows, live_columns, live_rows=range(12)):
    """Logits of these rows with all 12 columns, and their features: coloured where they are live."""
    side, top, colour = 0.48, y + 0.95, RANKS[1]
    sheet.label(x + 6 * side, y + 0.05, names[1], 9)
    middle = top + len(rows) * side / 2
    sheet.label(
        x - (1.15 if " " in names[0] else 0.95), middle, names[0].replace(" ", "\n"), 9, rotation=90
    )
    for j in range(12):
        fill = colour if j in live_columns else PLAIN
        sheet.box(x + j * side, top - 0.6, side, 0.45, "", fill)
    for k, i in enumerate(rows):
        sheet.box(x - 0.6, top + k * side, 0.45, side, "", colour if i in live_rows else PLAIN)
        for j in range(12):
            sheet.box(x + j * side, top + k * side, side, side, "", colour, edge="#bbbbbb")


def dot(x, y, color):
    """A small disc with a dark edge."""
    from matplotlib.patches import Circle

    return Circle((x, y), 0.15, fc=color, ec=DARK, lw=0.6)


def main():
    for figure in (two_ranks, back, settings):
        figure()


if __name__ == "__main__":
    main()
