"""The figures of the report, named after the paper's. Drawn without a display, as in pictures.py."""

import numpy as np
from matplotlib.figure import Figure

from miniclip.evaluation.humans import COLUMNS, TABLE_2

BLUE, GREY, RED, GREEN = "#1f4e79", "#8a8a8a", "#b5442e", "#2a7d4f"
COLOURS = (BLUE, RED, GREEN, "#b8860b", "#6a4c93", GREY)


def _axes(width=6.4, height=4.2):
    figure = Figure(figsize=(width, height), layout="constrained")
    axis = figure.subplots()
    axis.spines[["top", "right"]].set_visible(False)
    return figure, axis


def _bars(axis, rows, colour=BLUE):
    """Horizontal bars with intervals: rows of (label, value, low, high)."""
    for y, (label, value, low, high) in enumerate(rows[::-1]):
        axis.barh(y, value, color=colour, alpha=0.85, height=0.6)
        axis.plot([low, high], [y, y], color="#222222", linewidth=1.2)
    axis.set_yticks(range(len(rows)), [row[0] for row in rows[::-1]], fontsize=8)


def draw_prompts(rows, path):
    """Figure 4: rows (prompt, accuracy, low, high)."""
    figure, axis = _axes(height=0.5 + 0.45 * len(rows))
    _bars(axis, rows)
    axis.set_xlabel("zero-shot accuracy, with 95 % interval")
    axis.set_xlim(0, 1)
    figure.savefig(path, dpi=100)


def draw_shots(curves, zero_shot, path):
    """Figure 6: curves {features: {k: [accuracy per seed]}}; zero_shot (value, low, high)."""
    figure, axis = _axes()
    for (name, curve), colour in zip(curves.items(), COLOURS):
        shots = sorted(curve)
        means = [np.mean(curve[k]) for k in shots]
        axis.fill_between(shots, [min(curve[k]) for k in shots], [max(curve[k]) for k in shots],
                          color=colour, alpha=0.15, linewidth=0)  # fmt: skip
        axis.plot(shots, means, "o-", color=colour, label=name, markersize=4)
    axis.axhspan(*zero_shot[1:], color=GREY, alpha=0.12, linewidth=0)
    axis.axhline(zero_shot[0], color=GREY, linestyle="--", label="zero-shot (95 % interval)")
    axis.set_xscale("log", base=2)
    axis.set_xticks(shots, [str(k) for k in shots])
    axis.set_xlabel("labelled pictures a class")
    axis.set_ylabel("accuracy (band: the seeds)")
    axis.set_ylim(0, 1)
    axis.legend(fontsize=8, frameon=False)
    figure.savefig(path, dpi=100)


def draw_gap(points, path):
    """Figure 8: points {data set: (probe's accuracy, zero-shot accuracy)}."""
    figure, axis = _axes(4.6, 4.4)
    axis.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
    for (name, (probe, zero)), colour in zip(points.items(), COLOURS):
        axis.plot(probe, zero, "o", color=colour)
        axis.annotate(name, (probe, zero), textcoords="offset points", xytext=(5, -9), fontsize=8)
    axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="linear probe", ylabel="zero-shot")
    figure.savefig(path, dpi=100)


def draw_shift(families, line, path, shifted="other drawings"):
    """Figure 13: families {name: [(accuracy, shifted accuracy)]}, line (slope, intercept) in logits."""
    figure, axis = _axes(5.6, 4.6)
    x = np.linspace(0.02, 0.98, 200)
    fitted = 1 / (1 + np.exp(-(line[0] * np.log(x / (1 - x)) + line[1])))
    axis.plot(x, fitted, color=GREY, linewidth=1.2, label="baseline, fitted in logits")
    axis.plot(x, x, color=GREY, linewidth=0.8, linestyle=":", label="no loss by the shift")
    for (name, points), colour, marker in zip(families.items(), COLOURS, "sovD^P"):
        axis.plot(*zip(*points), marker, color=colour, label=name, markersize=5, linestyle="none")
    axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="accuracy at home (colour)",
             ylabel=f"accuracy on {shifted}")  # fmt: skip
    axis.legend(fontsize=8, frameon=False)
    figure.savefig(path, dpi=100)


def draw_robustness(labels, accuracy, effective, path):
    """Figures 14 and 15: accuracy at home and effective robustness from zero-shot to a full probe."""
    figure, axis = _axes()
    axis.plot(labels, accuracy, "o-", color=GREY, label="accuracy at home")
    axis.plot(labels, effective, "s-", color=BLUE, label="effective robustness")
    axis.axhline(0, color="#222222", linewidth=0.8)
    axis.set_ylabel("fraction of 1")
    axis.tick_params(axis="x", labelsize=8)
    axis.legend(fontsize=8, frameon=False)
    figure.savefig(path, dpi=100)


def draw_overlap(rows, path):
    """Figure 17: rows (name, share of overlap, All - Clean, low, high)."""
    figure, axis = _axes(height=3.4)
    for (name, share, difference, low, high), colour in zip(rows, COLOURS):
        axis.errorbar(share, difference, [[difference - low], [high - difference]], fmt="o",
                      color=colour, capsize=3, label=name)  # fmt: skip
    axis.axhline(0, color=GREY, linestyle="--", linewidth=1)
    axis.set(xlabel="share of the test that overlaps", ylabel="All - Clean", xlim=(0, 1))
    axis.legend(fontsize=8, frameon=False)
    figure.savefig(path, dpi=100)


def draw_found(rows, path):
    """A page of near-duplicates: rows (test picture, training picture, caption under them)."""
    columns = 6
    lines = max(1, -(-len(rows) // columns))
    figure = Figure(figsize=(1.7 * columns, 1.35 * lines), layout="constrained")
    cells = list(figure.subplots(lines, columns, squeeze=False).flat)
    for axis in cells:
        axis.set_axis_off()
    for axis, (test, train, caption) in zip(cells, rows):
        both = np.concatenate(
            [np.asarray(p.convert("RGB").resize((64, 64))) for p in (test, train)], 1
        )
        axis.imshow(both)
        axis.set_title(caption, fontsize=6, parse_math=False)
    figure.savefig(path, dpi=110)


def draw_groups(tables, path):
    """Section 7: tables {wording: {group: {'value', 'low', 'high', 'n'}}} as bars by group."""
    groups = list(next(iter(tables.values())))
    figure, axis = _axes(8, 0.8 + 0.22 * len(groups) * len(tables))
    height = 0.8 / len(tables)
    for k, ((name, table), colour) in enumerate(zip(tables.items(), COLOURS)):
        y = np.arange(len(groups)) + (k - (len(tables) - 1) / 2) * height
        axis.barh(
            y, [table[g]["value"] for g in groups], height, color=colour, alpha=0.85, label=name
        )
        for at, g in zip(y, groups):
            axis.plot([table[g]["low"], table[g]["high"]], [at, at], color="#222222", linewidth=0.9)
    axis.set_yticks(range(len(groups)), [f"{g} (n={table[g]['n']})" for g in groups], fontsize=8)
    axis.invert_yaxis()
    axis.set(xlim=(0, 1), xlabel="error rate, with 95 % interval")
    axis.legend(fontsize=8, frameon=False)
    figure.savefig(path, dpi=100)


def draw_candidates(curves, path):
    """Retrieval by the size of the gallery: curves {name: {size: R@1}}."""
    figure, axis = _axes(height=3.6)
    for (name, curve), colour in zip(curves.items(), COLOURS):
        axis.plot(list(curve), list(curve.values()), "o-", color=colour, label=name, markersize=4)
    axis.set_xscale("log")
    axis.set(ylim=(0, 1), xlabel="pictures to choose from", ylabel="R@1")
    axis.legend(fontsize=8, frameon=False)
    figure.savefig(path, dpi=100)


def draw_humans(model, path):
    """Section 4: table 2 of the paper as bars; model: (label, accuracy) of ours on its own
    task, or None."""
    figure, axis = _axes(7, 3.4)
    width = 0.2
    for k, (name, colour) in enumerate(zip(TABLE_2, (GREY, BLUE, GREEN, RED))):
        axis.bar(
            np.arange(len(COLUMNS)) + k * width, TABLE_2[name], width, color=colour, label=name
        )
    if model is not None:
        axis.axhline(100 * model[1], color="#222222", linestyle="--", linewidth=1)
        axis.text(3.8, 100 * model[1] + 1, model[0], fontsize=8, ha="right",
                  bbox={"color": "white", "pad": 1})  # fmt: skip
    axis.set_xticks(np.arange(len(COLUMNS)) + 1.5 * width, COLUMNS, fontsize=8)
    axis.set(ylabel="%", ylim=(0, 118))
    axis.legend(fontsize=8, frameon=False, ncols=4, loc="upper center")
    figure.savefig(path, dpi=100)
