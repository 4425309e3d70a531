"""The figures of the library: curves, bars, points, and pictures in a grid.

matplotlib's Figure is used without pyplot, so drawing needs no display and changes no global state. It
is imported when the first figure is drawn, because the import takes a second.
"""

import contextlib
from itertools import cycle

from miniclip.common import save_figure

BLACK, GREEN = "#222222", "#2a7d4f"
COLOURS = ("#1f4e79", "#b5442e", GREEN, "#b8860b", "#6a4c93", "#8a8a8a", "#2a9d9d")
MARKS = (b"Software\0miniclip", b"/Creator (miniclip)", b">miniclip<")  # in .png, .pdf, .svg
DASHES = ("--", ":", "-.")
FEW = 60  # points of a curve that are marked one by one
TEXT = 0.14  # inches of a line of text beside a picture


def is_figure(path) -> bool:
    """Whether a file may be one of ours. Reads 64 MiB of it at most."""
    with open(path, "rb") as file:
        start = file.read(1 << 26)
    return any(mark in start for mark in MARKS)


def band(x, shares):
    """A curve of `lines` with its intervals: x, and one confidence.share per point."""
    shares = list(shares)
    return list(x), *([s[end] for s in shares] for end in ("value", "low", "high"))


@contextlib.contextmanager
def _axes(path, size, rows=1, columns=1):
    """Axes to draw into. At the end each gets a legend if it needs one, and the file is written."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    yield axes.flat
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
        if axis.get_legend_handles_labels()[1]:
            axis.legend(fontsize=8, frameon=False)
    save_figure(figure, path)


def _plain(name):
    """A name as it is. matplotlib would set what stands between two $ as mathematics."""
    return name.replace("$", r"\$")


def lines(panels, path, rows=1, dashed=()) -> None:
    """Draw curves, panel beside panel.

    panels: [({name: (x, y) or (x, y, low, high)}, what its axes are set to)], where a band lies between
    low and high. dashed: the names of the curves that the others are compared with. A name that begins
    with _ is not in the legend.
    """
    columns = -(-len(panels) // rows)
    with _axes(path, (2.8 + 3.6 * columns, 1.4 + 2.8 * rows), rows, columns) as axes:
        for axis, (curves, how) in zip(axes, panels):
            colours, dashes = cycle(COLOURS), cycle(DASHES)
            for name, (x, y, *ends) in curves.items():
                if name in dashed:
                    colour, style = BLACK, next(dashes)
                else:
                    colour, style = next(colours), "o-" if len(x) < FEW else "-"
                axis.plot(x, y, style, color=colour, label=_plain(name), ms=4, linewidth=1.2)
                if ends:
                    axis.fill_between(x, *ends, color=colour, alpha=0.15, linewidth=0)
            axis.set(**how)


def points(families, path, dashed=None, **how) -> None:
    """Draw points, each family in its own colour.

    families: {name: [(x, y) or (x, y, low, high)]}, where a bar reaches from low to high; dashed: {name:
    (x, y)}, curves that the points are compared with; how: what the axes are set to. A name that begins
    with _ is not in the legend.
    """
    with _axes(path, (6.4, 4.6)) as [axis]:
        for (name, (x, y)), dash in zip((dashed or {}).items(), cycle(DASHES)):
            axis.plot(x, y, dash, color=BLACK, label=_plain(name), linewidth=1)
        for (name, family), colour, marker in zip(
            families.items(), cycle(COLOURS), cycle("osvD^P")
        ):
            x, y = zip(*(point[:2] for point in family))
            axis.plot(x, y, marker, color=colour, label=_plain(name), ms=5)
            for x, _, *ends in family:
                axis.plot([x] * len(ends), ends, color=colour, linewidth=1.2)
        axis.set(**how)


def bars(tables, path, **how) -> None:
    """Draw horizontal bars, with a thin line for the interval of each.

    tables: {name: {group: confidence.share}}, all of the same groups; how: what the axes are set to. A
    name that begins with _ is not in the legend.
    """
    groups = next(iter(tables.values()))
    height = 0.8 / len(tables)
    with _axes(path, (7.2, 1 + 0.15 * len(groups) * (1 + len(tables)))) as [axis]:
        for k, ((name, table), colour) in enumerate(zip(tables.items(), cycle(COLOURS))):
            y = [g + (k + 0.5) * height - 0.4 for g in range(len(groups))]
            shares = [table[group] for group in groups]
            axis.barh(y, [s["value"] for s in shares], height, color=colour, label=_plain(name))
            low, high = ([s[end] for s in shares] for end in ("low", "high"))
            axis.hlines(y, low, high, color=BLACK, linewidth=1)
        names = [f"{_plain(g)} (n={s['n']})" if "n" in s else _plain(g) for g, s in groups.items()]
        axis.set_yticks(range(len(groups)), names, fontsize=8)
        axis.invert_yaxis()
        axis.set(xlim=(0, 1), **how)


def grid(cells, path, columns=8) -> None:
    """Draw pictures in rows of `columns`.

    cells: [(picture, title above it, [(line of text below it, whether it is green)])].
    """
    from matplotlib.figure import Figure

    rows = -(-len(cells) // columns)
    above = max(len(title.splitlines()) for _, title, _ in cells) * TEXT
    below = max(len(texts) for *_, texts in cells) * TEXT
    height = (1.25 + above + below) * rows
    figure = Figure(figsize=(1.25 * columns, height))
    place = dict(left=0.01, right=0.99, bottom=below / height, top=1 - above / height)
    axes = figure.subplots(
        rows,
        columns,
        squeeze=False,
        subplot_kw=dict(frame_on=False, xticks=[], yticks=[]),
        gridspec_kw=dict(wspace=0.06, hspace=(above + below) / 1.25, **place),
    )
    for axis, (picture, title, texts) in zip(axes.flat, cells):
        axis.imshow(picture)
        axis.set_title(title, fontsize=7, loc="left", pad=2, parse_math=False)
        for k, (text, green) in enumerate(texts):
            axis.text(
                0.5,
                -0.01 - k * TEXT / 1.25,
                text,
                ha="center",
                va="top",
                transform=axis.transAxes,
                fontsize=7,
                parse_math=False,
                color=GREEN if green else BLACK,
                weight="bold" if green else "normal",
            )
    save_figure(figure, path)
