"""Report: what the sections write goes to the terminal at once, and into report.md at the end.

results.json holds the numbers of a report, and the numbers of earlier commands about the same
weights, pairs and labelled pictures.
"""

import contextlib
import itertools
import json
import tempfile
from operator import methodcaller
from pathlib import Path

from kernels.table import table
from miniclip import plots
from miniclip.common import UserError, check_output, locked, refuse, replacing_all, write_json
from miniclip.data.dataset import printable

MARK = "<!-- written by miniclip -->"  # the last line of report.md
# the digests in results.json of what its sections are about, beside the digest "model"; one that no
# section needs is missing
ABOUT = ("start", "pairs_digest", "pictures_digest")


class Report:
    """Collects sections. folder: where report.md and its figures go; it is made if it is missing.

    Raises UserError if the folder has a report.md that is not a report of miniclip.
    """

    def __init__(self, folder, title):
        self.folder, self._lines, self._files = Path(folder), [f"# {title}", ""], {}
        path = self.folder / "report.md"
        check_output(path)
        refuse(
            {
                f"{path} was not written by this command; move it away, or choose another --out": (
                    path.exists() and not path.read_bytes().rstrip().endswith(MARK.encode())
                )
            }
        )

    def section(self, title: str, paper: str) -> None:
        """A heading; `paper` says which part of the paper it follows."""
        _show(f"\n{title}  ({paper})")
        self._lines += [f"## {title}", "", f"*{paper}*", ""]

    def say(self, text: str) -> None:
        """A paragraph."""
        _show(text)
        self._lines += [text, ""]

    def table(self, columns, rows) -> None:
        """A table. columns: names; rows: sequences of str, int, None or float (three digits)."""
        _show(aligned(columns, rows))
        lines = [[_cell(c).replace("|", "\\|") for c in row] for row in [columns, *rows]]
        head, *body = [f"| {' | '.join(line)} |" for line in lines]
        self._lines += [head, "|---" + "|---:" * (len(columns) - 1) + "|", *body, ""]

    def figure(self, name, caption, draw, *args, **options) -> None:
        """A figure and its caption: draw(*args, path, **options) writes it to a path, and `write`
        puts it into the folder under this name.

        Raises UserError if a file of that name is not a figure of miniclip."""
        path = self.folder / name
        refuse(
            {
                f"{path} is not a figure of a report; move it away, or choose another --out": (
                    path.exists() and not plots.is_figure(path)
                )
            }
        )
        with tempfile.TemporaryDirectory() as folder:
            draw(*args, Path(folder, name), **options)
            self._files[path] = methodcaller("write", Path(folder, name).read_bytes())
        self._lines += [f"![{name.partition('.')[0]}]({name})", "", caption, ""]

    def write(self) -> None:
        """Write report.md and its figures, after all work. So a report that was stopped changes
        nothing in the folder."""
        # a path need not be UTF-8
        text = "\n".join([*self._lines, MARK, ""]).encode(errors="backslashreplace")
        self._files[self.folder / "report.md"] = methodcaller("write", text)
        with replacing_all(self._files):
            pass


def aligned(columns, rows) -> str:
    """A table as text for a terminal; see Report.table."""
    return table(columns, (map(_cell, row) for row in rows))


def _show(text):
    """Print lines. Names of classes and captions may hold characters that a terminal obeys."""
    print("\n".join(printable(line, 10 * len(line)) for line in text.split("\n")))


def _cell(value):
    words = f"{value:.3f}" if isinstance(value, float) else " ".join(str(value).split())
    return "-" if value is None else words


def earlier_results(out):
    """What results.json in the folder `out` holds, or {} if it is missing. Raises UserError if it
    cannot be written, or if no report wrote it. It is called before the work, so that such a
    mistake does not cost the work."""
    path = out / "results.json"
    check_output(path)
    if not path.exists():
        return {}
    with contextlib.suppress(ValueError, RecursionError, AttributeError, TypeError):
        before = json.loads(path.read_text("utf-8"))
        digests = all(isinstance(before.get(key, ""), str) for key in ("model", *ABOUT))
        if digests and "command" in before and isinstance(before.get("commands", {}), dict):
            return before
    raise UserError(
        f"{path} is damaged, or was not written by this command; move it away, or choose another --out"
    )


def write_results(out, results):
    """Write results.json. It keeps the sections of earlier commands about the same model, and about
    the same of each of ABOUT that both have. Another earlier file is renamed first."""
    with locked(out):  # or of two commands at once one would lose the other's sections
        before = earlier_results(out)  # another command may have written meanwhile
        same = before.get("model") == results["model"] and all(
            len({before.get(key), results.get(key)} - {None}) < 2 for key in ABOUT
        )
        if before and not same:
            names = (out / f"results.old{k}.json" for k in itertools.count())
            old = next(name for name in names if not name.exists())
            (out / "results.json").replace(old)
            print(
                "\nresults.json was about another model, other pairs or other pictures; its content "
                f"is now in {old.name}, and a report.md that was written before is about those, too"
            )
            before = {}
        commands = before.get("commands", {}) | results["commands"]
        write_json(out / "results.json", before | results | {"commands": commands})
