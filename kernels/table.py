"""A plain-text table for the commands: columns as wide as their widest cell."""


class Table:
    """Table("N", "ms"), then add(4096, "1.2") for each row; str() of it is the table."""

    def __init__(self, *head: object):
        self.rows = [[str(cell) for cell in head]]

    def add(self, *cells: object) -> None:
        """Add a row of cells, which may be anything that str() takes. Missing cells on the right stay empty."""
        self.rows.append([str(cell) for cell in cells] + [""] * (len(self.rows[0]) - len(cells)))

    def __str__(self):
        widths = [max(map(len, column)) for column in zip(*self.rows)]
        rule = ["-" * width for width in widths]
        lines = (
            [c.rjust(w) if c[:1].isdigit() else c.ljust(w) for c, w in zip(row, widths)]
            for row in (self.rows[0], rule, *self.rows[1:])
        )
        return "\n".join("  ".join(line).rstrip() for line in lines)
