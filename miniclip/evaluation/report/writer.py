"""The report as it grows: tables on the terminal, the same in report.md, figures, results.json."""

from pathlib import Path

COLUMNS = ("", "accuracy", "95 %", "top 5", "mean per class", "n")


class Report:
    """Collects sections. folder: where report.md, its figures and results.json go."""

    def __init__(self, folder, title):
        self.folder, self.results = Path(folder), {}
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lines = [f"# {title}", ""]

    def section(self, title, paper):
        """A heading; `paper` says which part of the paper it follows."""
        print(f"\n{title}  ({paper})")
        self._lines += [f"## {title}", "", f"*{paper}*", ""]

    def say(self, text):
        """A sentence, on the terminal and in the report."""
        print(text)
        self._lines += [text, ""]

    def table(self, columns, rows):
        """columns: names; rows: sequences of str, int or float (written with three digits)."""
        cells = [[_cell(c) for c in row] for row in [columns, *rows]]
        widths = [max(len(row[k]) for row in cells) for k in range(len(columns))]
        for row in cells:
            first = row[0].ljust(widths[0])
            print("  ".join([first, *(c.rjust(w) for c, w in zip(row[1:], widths[1:]))]))
        lines = ["| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in cells]
        rule = "|---" + "|---:" * (len(columns) - 1) + "|"
        self._lines += [lines[0], rule, *lines[1:], ""]

    def text(self, block):
        """A block of text as it is."""
        print(block)
        self._lines += ["```text", block, "```", ""]

    def figure(self, name, reading):
        """A figure that was drawn to folder/name, and the sentence that reads it."""
        self._lines += [f"![{name.partition('.')[0]}]({name})", "", reading, ""]

    def path(self, name):
        """Where a figure of this name belongs."""
        return self.folder / name

    def write(self):
        """Write report.md; the caller writes results.json."""
        (self.folder / "report.md").write_text("\n".join(self._lines), encoding="utf-8")


def _cell(value):
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def interval(low, high):
    """'[0.35, 0.54]', for a table."""
    return f"[{low:.2f}, {high:.2f}]"


def row(name, s):
    """A row of scores under COLUMNS."""
    top5 = s.get("top5")
    return name, s["accuracy"], interval(s["low"], s["high"]), top5, s["balanced_accuracy"], s["n"]
