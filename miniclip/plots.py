"""The figures of the library: curves, points, and pictures in a grid.

matplotlib's Figure is used without pyplot, so drawing needs no display and changes no global state.
matplotlib is imported when the first figure is drawn, because the import takes a second.
"""

import contextlib
from itertools import cycle

from miniclip.common import checked, holds, refuse, save_figure

BLACK, GREEN = "#222222", "#2a7d4f"
COLOURS = ("#1f4e79", "#b5442e", GREEN, "#b8860b", "#6a4c93", "#8a8a8a", "#2a9d9d")
MARKS = (b"Software\0miniclip", b"/Creator (miniclip)", b">miniclip<")  # in .png, .pdf, .svg
FEW = 60  # a curve with fewer points than this has a mark at each point
TEXT = 0.14  # height in inches of a line of text above or below a picture


def is_figure(path) -> bool:
    """Whether a file has a mark of the figures that miniclip draws."""
    return holds(path, MARKS)


def band(x, shares):
    """A curve of `lines` with its band: (x, values, lows, highs), from a confidence.share per x."""
    shares = list(shares)
    return list(x), *([s[end] for s in shares] for end in ("value", "low", "high"))


@contextlib.contextmanager
def _defaults():
    """Draw with matplotlib's own settings. The user's may ask for what is missing, such as LaTeX."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        yield


def _literal(value):
    """A text, or the texts of a list, that are drawn as they are: matplotlib would set what is
    between two $ as mathematics. Any other value is returned itself."""
    if isinstance(value, str):
        # halves of characters, which names of files can hold, are drawn as ?
        return value.encode("utf-8", "replace").decode().replace("$", r"\$")
    return [*map(_literal, value)] if isinstance(value, (list, tuple)) else value


@_defaults()
@checked
def lines(panels, path, rows: int = 1, dashed=(), dots=()) -> None:
    """Draw curves, panel beside panel.

    panels: for each panel ({name of a curve: (x, y) or (x, y, low, high)}, settings of its axes). A
    band is drawn between low and high. dashed: the names of the curves that the other curves are
    compared with; dots: the names of the curves whose points are not joined. A curve whose name
    begins with _ is not in the legend.
    """
    from matplotlib.figure import Figure

    refuse({"there are no panels, or no rows of them, to draw": not panels or rows < 1})
    columns = -(-len(panels) // rows)
    figure = Figure(figsize=(2.8 + 3.6 * columns, 1.4 + 2.8 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis, (curves, how) in zip(axes.flat, panels):
        colours, dashes, markers = cycle(COLOURS), cycle(("--", ":", "-.")), cycle("osvD^P")
        for name, (x, y, *ends) in curves.items():
            colour = BLACK if name in dashed else next(colours)
            if name in dashed:
                style = next(dashes)
            elif name in dots:
                style = next(markers)
            else:
                style = "o-" if len(x) < FEW else "-"
            axis.plot(x, y, style, color=colour, label=_literal(str(name)), ms=4, linewidth=1.2)
            if ends:
                axis.fill_between(x, *ends, color=colour, alpha=0.15, linewidth=0)
        axis.set(**{setting: _literal(value) for setting, value in how.items()})
        if axis.get_legend_handles_labels()[1]:
            axis.legend(fontsize=8, frameon=False)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path)


@_defaults()
@checked
def grid(cells, path, columns: int = 8, overwrite: bool = True) -> None:
    """Draw pictures in rows of `columns`.

    cells: [(picture, title above it, a line of text below it, whether this line is green)].
    overwrite: whether to replace a file that exists.
    """
    from matplotlib.figure import Figure

    refuse(
        {
            "there are no pictures to draw": not cells,
            f"columns must be at least 1, not {columns}": columns < 1,
        }
    )
    rows = -(-len(cells) // columns)
    above = max(len(title.splitlines()) for _, title, *_ in cells) * TEXT
    height = (1.25 + above + TEXT) * rows
    figure = Figure(figsize=(1.25 * columns, height))
    axes = figure.subplots(
        rows,
        columns,
        squeeze=False,
        subplot_kw=dict(frame_on=False, xticks=[], yticks=[]),
        gridspec_kw=dict(
            left=0.01,
            right=0.99,
            bottom=TEXT / height,
            top=1 - above / height,
            wspace=0.06,
            hspace=(above + TEXT) / 1.25,
        ),
    )
    for axis, (picture, title, text, green) in zip(axes.flat, cells):
        axis.imshow(picture)
        axis.set_title(_literal(title), fontsize=7, loc="left", pad=2)
        colour, weight = (GREEN, "bold") if green else (BLACK, "normal")
        axis.set_xlabel(_literal(text), fontsize=7, labelpad=1, color=colour, weight=weight)
    save_figure(figure, path, overwrite)
