"""A plain-text table for the commands: columns as wide as their widest cell."""

from collections.abc import Iterable


def table(head: Iterable, rows: Iterable[Iterable]) -> str:
    """table(["N", "ms"], [[4096, "1.2"]]). Cells may be anything that str() takes. None is an empty
    cell. A row may be shorter than the head; its missing cells are empty, too."""
    cells = [["" if cell is None else str(cell) for cell in row] for row in (head, *rows)]
    cells = [row + [""] * (len(cells[0]) - len(row)) for row in cells]
    widths = [max(map(len, column)) for column in zip(*cells)]
    cells.insert(1, ["-" * width for width in widths])
    lines = (
        [c.rjust(w) if c[:1].isdigit() else c.ljust(w) for c, w in zip(row, widths)]
        for row in cells
    )
    return "\n".join("  ".join(line).rstrip() for line in lines)
