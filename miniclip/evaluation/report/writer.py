"""Report: what the sections write goes to the terminal at once and into report.md at the end."""

from pathlib import Path

from miniclip.common import UserError
from miniclip.data.dataset import printable
from miniclip.evaluation.confidence import interval
from miniclip.evaluation.report.plots import is_figure


class Report:
    """Collects sections. folder: where report.md and its figures go; it is made."""

    def __init__(self, folder, title):
        self.folder, self._lines = Path(folder), [f"# {title}", ""]
        self.folder.mkdir(parents=True, exist_ok=True)

    def section(self, title, paper):
        """A heading; `paper` says which part of the paper it follows."""
        _show(f"\n{title}  ({paper})")
        self._lines += [f"## {title}", "", f"*{paper}*", ""]

    def say(self, text):
        """A paragraph."""
        _show(text)
        self._lines += [text, ""]

    def table(self, columns, rows):
        """columns: names; rows: sequences of str, int, None or float (three digits)."""
        cells = [[_cell(c) for c in row] for row in [columns, *rows]]
        widths = [max(map(len, column)) for column in zip(*cells)]
        for first, *others in cells:
            _show("  ".join([first.ljust(widths[0]), *map(str.rjust, others, widths[1:])]))
        lines = ["| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in cells]
        self._lines += [lines[0], "|---" + "|---:" * (len(columns) - 1) + "|", *lines[1:], ""]

    def scores(self, results):
        """A table of {name: what confidence.accuracy or confidence.scores returned}."""
        self.table(
            ("", "accuracy", "95 %", "top 5", "mean per class", "n"),
            [
                (
                    name,
                    s["accuracy"],
                    interval(s["low"], s["high"]),
                    s.get("top5"),
                    s["balanced_accuracy"],
                    s["n"],
                )
                for name, s in results.items()
            ],
        )

    def text(self, block):
        """A block of text in a monospaced font."""
        _show(block)
        self._lines += ["```text", block, "```", ""]

    def figure(self, name, caption, draw, *args, **options):
        """A figure and its caption: draw(*args, path, **options) writes it to folder/name.

        Raises UserError where another file has that name."""
        path = self.folder / name
        if path.exists() and not is_figure(path):
            raise UserError(
                f"{path} is no figure of a report; move it away, or choose another --out"
            )
        draw(*args, path, **options)
        self._lines += [f"![{name.partition('.')[0]}]({name})", "", caption, ""]

    def write(self):
        """Write report.md."""
        (self.folder / "report.md").write_text("\n".join(self._lines), encoding="utf-8")


def _show(text):
    """Print lines; names of classes and captions may hold characters that a terminal obeys."""
    print("\n".join(printable(line, len(line)) for line in text.split("\n")))


def _cell(value):
    return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


def share_cells(s):
    """A share (confidence.share) as the cells of a table: value and interval."""
    return s["value"], interval(s["low"], s["high"])


def paired_cells(test):
    """confidence.mcnemar as the cells of a table: the pictures that only one has right, and p."""
    return f"{test['only_first']} / {test['only_second']}", f"{test['p_value']:.1e}"
