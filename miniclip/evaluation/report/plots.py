"""The figures of the report, with the paper's numbers where it has the same figure.

matplotlib's Figure is used directly: it needs no display and changes no global state.
"""

import contextlib
from itertools import cycle, zip_longest
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from miniclip.common import save_figure
from miniclip.data.dataset import printable
from miniclip.evaluation.human_comparison import COLUMNS, TABLE_2

BLUE, GREY, RED, GREEN, BLACK = "#1f4e79", "#8a8a8a", "#b5442e", "#2a7d4f", "#222222"
EMPTY = dict(frame_on=False, xticks=[], yticks=[])  # axes for a picture
COLOURS = (BLUE, RED, GREEN, "#b8860b", "#6a4c93", GREY)
MARKS = (b"Software\0miniclip", b"/Creator (miniclip)", b">miniclip<")  # in .png, .pdf, .svg


def is_ours(path):
    """Whether save_figure wrote a file, of 64 MiB at most."""
    with open(path, "rb") as file:
        start = file.read(1 << 26)
    return any(mark in start for mark in MARKS)


def is_figure(path):
    """Whether a file may be one of ours: version 0.1 wrote figures with matplotlib's mark only."""
    return is_ours(path) or b"Software\0Matplotlib" in Path(path).read_bytes()[:4096]


@contextlib.contextmanager
def _axes(path, width=6.4, height=4.2, **legend):
    """Axes to draw into; at the end they get a legend, if they need one, and become a PNG."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axis = figure.subplots()
    axis.spines[["top", "right"]].set_visible(False)
    yield axis
    if axis.get_legend_handles_labels()[1]:
        axis.legend(fontsize=8, frameon=False, **legend)
    save_figure(figure, path)


def draw_retrieval(gallery, queries, path, columns=8, answers=None, queries_a_row=1):
    """The `columns` nearest pictures of each query, best first; `queries_a_row` queries in a row.

    gallery: a retrieval.Gallery; queries: list of strings; answers: for each query the index of its
    picture, which gets a green frame, or None. Returns what was found: for each query the list of
    gallery.search.
    """
    found = [gallery.search(query, columns) for query in queries]
    rows = -(-len(queries) // queries_a_row)
    width = columns * queries_a_row
    figure = Figure(figsize=(1.25 * width, 1.55 * rows), layout="constrained")
    figure.get_layout_engine().set(hspace=0.12)  # room for the titles, which the layout ignores
    axes = figure.subplots(rows, width, squeeze=False, subplot_kw=EMPTY).reshape(-1, columns)
    for row, query, results, answer in zip_longest(axes, queries, found, answers or ()):
        # in_layout=False: a long title would widen its column
        row[0].set_title(
            f"“{printable(query, 200)}”", loc="left", fontsize=9, parse_math=False, in_layout=False
        )
        for axis, (index, cosine) in zip(row, results):
            axis.imshow(gallery.pairs.image(index))
            axis.set_xlabel(f"{cosine:.2f}", fontsize=7, labelpad=1)
            if index == answer:
                axis.set_frame_on(True)
                axis.spines[:].set(color="#2a9d3a", linewidth=3)
    save_figure(figure, path)
    return found


def draw_recall_by_size(curves, path):
    """Recall by the size of the gallery: curves {name: {size: R@1}}."""
    with _axes(path, height=3.6) as axis:
        for (name, curve), colour in zip(curves.items(), COLOURS):
            axis.plot(list(curve), list(curve.values()), "o-", color=colour, label=name, ms=4)
        axis.set(xscale="log", ylim=(0, 1), xlabel="pictures to choose from", ylabel="R@1")


def _plain(name):
    """A name of the user's, as matplotlib shows it: a pair of $ would be set as mathematics."""
    return name.replace("$", r"\$")


def draw_prompts(results, path):
    """Figure 4: horizontal bars with intervals, results {prompt: confidence.scores}."""
    with _axes(path, height=0.5 + 0.45 * len(results)) as axis:
        for y, s in enumerate(reversed(results.values())):
            axis.barh(y, s["accuracy"], color=BLUE, alpha=0.85, height=0.6)
            axis.plot([s["low"], s["high"]], [y, y], color=BLACK, linewidth=1.2)
        axis.set_yticks(range(len(results)), list(map(_plain, reversed(results))), fontsize=8)
        axis.set(xlabel="zero-shot accuracy, with 95 % interval", xlim=(0, 1))


def draw_shots(curves, zero_shot, path, classes=()):
    """Figure 6: curves {features: {k: [accuracy per seed]}}, zero_shot {k: confidence.share}.

    k: a number of labels, or "all", the same in each curve; classes: how many at each k, if told.
    """
    with _axes(path, 7.2, 4.6, loc="upper center", bbox_to_anchor=(0.5, 1.14), ncols=3) as axis:
        x = range(len(zero_shot))  # the numbers double: a logarithmic axis
        low, high, value = ([s[e] for s in zero_shot.values()] for e in ("low", "high", "value"))
        axis.fill_between(x, low, high, color=BLACK, alpha=0.1, linewidth=0)
        axis.plot(x, value, "--", color=BLACK, label="zero-shot, no label")
        for (name, curve), colour in zip(curves.items(), COLOURS):
            low, high, mean = ([f(a) for a in curve.values()] for f in (min, max, np.mean))
            axis.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
            axis.plot(x, mean, "o-", color=colour, label=name, ms=4)
        under = [f"\n{n} classes" for n in classes] or [""] * len(x)
        axis.set_xticks(x, [f"{k}{text}" for k, text in zip(zero_shot, under)])
        axis.set(ylim=(0, 1), xlabel="labelled pictures a class", ylabel="accuracy")
        axis.grid(axis="y", alpha=0.25, linewidth=0.6)


def draw_average(curves, path):
    """Accuracy by alpha: curves {name: {alpha: {value, low, high}}} (WiSE-FT)."""
    with _axes(path, 7, 4.2, loc="upper center", bbox_to_anchor=(0.5, 1.22)) as axis:
        for (name, curve), colour in zip(curves.items(), cycle(COLOURS)):
            low, high, value = ([s[e] for s in curve.values()] for e in ("low", "high", "value"))
            axis.fill_between(list(curve), low, high, color=colour, alpha=0.12, linewidth=0)
            axis.plot(list(curve), value, "o-", color=colour, label=_plain(name), ms=4)
        axis.set(ylim=(0, 1), xlabel="alpha: 0 before fine-tuning, 1 after it", ylabel="accuracy")


def draw_gap(points, path):
    """Figure 8: points {data set: (probe's accuracy, zero-shot accuracy)}."""
    with _axes(path, 4.6, 4.4) as axis:
        axis.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
        for (name, point), colour in zip(points.items(), COLOURS):
            axis.plot(*point, "o", color=colour)
            axis.annotate(
                _plain(name), point, textcoords="offset points", xytext=(5, -9), fontsize=8
            )
        axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="linear probe", ylabel="zero-shot")


def draw_shift(
    families,
    line,
    path,
    xlabel="accuracy at home (colour)",
    ylabel="accuracy on other drawings",
):
    """Figure 13: families {name: [(accuracy, shifted accuracy)]}, line (slope, intercept) in
    logits."""
    with _axes(path, 5.6, 4.6) as axis:
        x = np.linspace(0.02, 0.98, 200)
        fitted = 1 / (1 + np.exp(-(line[0] * np.log(x / (1 - x)) + line[1])))
        axis.plot(x, fitted, color=GREY, linewidth=1.2, label="baseline, fitted in logits")
        axis.plot(x, x, color=GREY, linewidth=0.8, linestyle=":", label="no loss by the shift")
        for (name, points), colour, marker in zip(families.items(), COLOURS, "sovD^P"):
            axis.plot(*zip(*points), marker, color=colour, label=name, ms=5, linestyle="none")
        axis.set(xlim=(0, 1), ylim=(0, 1), xlabel=xlabel, ylabel=ylabel)


def draw_robustness(labels, accuracy, effective, path):
    """Figures 14 and 15: accuracy at home and effective robustness of several classifiers."""
    with _axes(path) as axis:
        axis.plot(labels, accuracy, "o-", color=GREY, label="accuracy at home")
        axis.plot(labels, effective, "s-", color=BLUE, label="effective robustness")
        axis.axhline(0, color=BLACK, linewidth=0.8)
        axis.set_ylabel("fraction of 1")
        axis.tick_params(axis="x", labelsize=8)


def draw_overlap(rows, path):
    """Figure 17: rows {name: data_overlap.all_minus_clean}, those with an interval."""
    with _axes(path, height=3.4) as axis:
        for (name, s), colour in zip(rows.items(), COLOURS):
            error = np.abs(np.subtract(s["interval"], s["all_minus_clean"]))[:, None]
            axis.errorbar(
                s["share"],
                s["all_minus_clean"],
                error,
                fmt="o",
                color=colour,
                capsize=3,
                label=name,
            )
        axis.axhline(0, color=GREY, linestyle="--", linewidth=1)
        axis.set(xlabel="share of the test that overlaps", ylabel="All - Clean", xlim=(0, 1))


def draw_answers(rows, path):
    """Pictures with the names that a model gives: rows (picture, [(name, whether it is right)])."""
    columns = 8
    lines = -(-len(rows) // columns)
    figure = Figure(figsize=(1.45 * columns, 1.95 * lines))
    axes = figure.subplots(lines, columns, squeeze=False, subplot_kw=EMPTY)
    figure.subplots_adjust(0.01, 0.42 / lines, 0.99, 0.99, hspace=0.5)  # with room for the names
    for axis, (picture, names) in zip(axes.flat, rows):
        axis.imshow(picture)
        for k, (name, right) in enumerate(names):
            axis.text(
                0.5,
                -0.06 - 0.14 * k,
                name[:22],
                fontsize=7,
                ha="center",
                va="top",
                parse_math=False,
                transform=axis.transAxes,
                color=GREEN if right else BLACK,
                weight="bold" if right else "normal",
            )
    save_figure(figure, path, dpi=110)


def draw_duplicates(rows, path):
    """Near-duplicates side by side: rows (test picture, training picture, title)."""
    columns = 6
    lines = -(-len(rows) // columns)
    figure = Figure(figsize=(1.7 * columns, 1.35 * lines), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False, subplot_kw=EMPTY)
    for axis, (*pictures, title) in zip(axes.flat, rows):
        both = [np.asarray(picture.convert("RGB").resize((64, 64))) for picture in pictures]
        axis.imshow(np.concatenate(both, 1))
        axis.set_title(title, fontsize=6, parse_math=False)
    save_figure(figure, path, dpi=110)


def draw_groups(tables, xlabel, path):
    """Tables {wording: {group: confidence.share}} as bars by group; xlabel: what a share is of."""
    groups = next(iter(tables.values()))
    height = 0.8 / len(tables)
    with _axes(path, 8, 0.8 + 0.22 * len(groups) * len(tables)) as axis:
        for k, ((name, table), colour) in enumerate(zip(tables.items(), COLOURS)):
            y = np.arange(len(groups)) + (k - (len(tables) - 1) / 2) * height
            axis.barh(
                y, [table[g]["value"] for g in groups], height, color=colour, alpha=0.85, label=name
            )
            for at, g in zip(y, groups):
                axis.plot([table[g]["low"], table[g]["high"]], [at, at], color=BLACK, linewidth=0.9)
        axis.set_yticks(
            range(len(groups)), [f"{g} (n={s['n']})" for g, s in groups.items()], fontsize=8
        )
        axis.invert_yaxis()
        axis.set(xlim=(0, 1), xlabel=f"{xlabel}, with 95 % interval")


def draw_human_comparison(model, path):
    """Section 4: table 2 as bars; model: (label, accuracy), a line, or None."""
    with _axes(path, 7, 3.4, ncols=4, loc="upper center") as axis:
        positions, width = np.arange(len(COLUMNS)), 0.2
        for k, ((name, row), colour) in enumerate(zip(TABLE_2.items(), (GREY, BLUE, GREEN, RED))):
            axis.bar(positions + k * width, row, width, color=colour, label=name)
        if model is not None:
            height, box = 100 * model[1], {"color": "white", "pad": 1}
            axis.axhline(height, color=BLACK, linestyle="--", linewidth=1)
            axis.text(3.8, height + 1, model[0], fontsize=8, ha="right", bbox=box)
        axis.set_xticks(positions + 1.5 * width, COLUMNS, fontsize=8)
        axis.set(ylabel="%", ylim=(0, 118))
