"""The pictures of lesson 15: drawings under a shift, the line of expectation, and the height above it."""

import json
from pathlib import Path

import numpy as np
import pen
from pen import DARK, MATCH, PICTURE, Sheet, plt

from miniclip.data import open_pairs
from miniclip.data.emoji.drawings import Drawings
from miniclip.data.icons.icons import Icons
from miniclip.evaluation.robustness import baseline, effective_robustness, logit

HOME, SHIFTED = (0.50, 0.70, 0.90, 0.70), (0.30, 0.50, 0.80, 0.62)
LEFT, BOTTOM, UNIT = 1.9, 8.4, 8.0  # where accuracy 0 is on the sheet, and how long 1 is


def at(home, shifted):
    """Where two accuracies are on the sheet."""
    return LEFT + UNIT * home, BOTTOM - UNIT * shifted


def height():
    sheet = Sheet(15.5, 9.8)
    sheet.arrow(at(0, 0), at(1.04, 0))
    sheet.arrow(at(0, 0), at(0, 1.04))
    for share in (0.5, 1.0):
        sheet.label(*np.add(at(share, 0), (0, 0.35)), f"{share:.1f}", 9)
        sheet.label(*np.add(at(0, share), (-0.2, 0)), f"{share:.1f}", 9, align="right")
    sheet.label(LEFT + UNIT / 2, BOTTOM + 0.95, "accuracy at home", 11)
    sheet.label(0.7, BOTTOM - UNIT / 2, "accuracy under the shift", 11, rotation=90)

    line = baseline(HOME[:3], SHIFTED[:3])
    x = np.linspace(0.03, 0.97, 200)
    expected = -effective_robustness(x, 0 * x, line)
    sheet.axes.plot(*at(x, x), "--", color="grey", lw=1)
    sheet.axes.plot(*at(x, expected), color=DARK, lw=1.5)
    sheet.label(*at(0.2, 0.27), "nothing lost", 9, rotation=45, color="grey")
    sheet.label(*at(0.33, 0.08), "expected", 9, align="left")

    for k, point in enumerate(zip(HOME, SHIFTED), 1):
        fill = MATCH if k == 4 else PICTURE
        sheet.axes.plot(*at(*point), "o", ms=15, mfc=fill, mec=DARK, mew=0.8)
        sheet.label(*at(*point), str(k), 10)
    x, y = at(0.70, 0.62)
    foot = at(0.70, 0.50)[1]
    sheet.axes.plot([x + 0.3, x + 4.1], [y, y], ":", color="grey", lw=1)
    sheet.axes.plot([x + 0.3, x + 4.1], [foot, foot], ":", color="grey", lw=1)
    sheet.arrow((x + 3.9, foot), (x + 3.9, y))
    sheet.label(x + 4.2, (y + foot) / 2, "effective\nrobustness\n.62 - .50 = .12", 10, align="left")
    sheet.save("15_height")


def rows(pictures, name):
    """Save rows of pictures, {title: pictures}, under each other."""
    shape = len(pictures), len(next(iter(pictures.values())))
    how = dict(layout="constrained", subplot_kw=dict(xticks=[], yticks=[]))
    figure, axes = plt.subplots(*shape, figsize=(6, 3.1), **how)
    for row, (title, some) in zip(axes, pictures.items()):
        row[0].set_ylabel(title)
        for axis, picture in zip(row, some):
            axis.imshow(picture)
    figure.savefig(pen.FIGURES / f"{name}.png", dpi=80, metadata={"Software": None})
    plt.close(figure)


def drawings():
    pairs = open_pairs()
    names = "owl", "tiger face", "french fries", "automobile", "palm tree", "purse"
    shown = [next(i for i in range(len(pairs)) if pairs.captions(i)[0] == name) for name in names]
    kinds = {kind: Drawings(pairs, kind) for kind in ("colour", "line art", "Noto")}
    rows({kind: [some.image(i) for i in shown] for kind, some in kinds.items()}, "15_drawings")


def styles():
    icons = Icons()
    picture = {key: i for i, keys in enumerate(icons.owned) for key in keys}
    names = "bed", "blender", "camera", "church", "motorcycle", "umbrella"
    kinds = {
        "learned": ("ic", "baseline"),
        "home": ("ic", "outline"),
        "shift": ("fa6-solid", ""),
    }
    rows(
        {
            kind: [icons.image(picture[site, name, style]) for name in names]
            for kind, (site, style) in kinds.items()
        },
        "15_styles",
    )


def lines():
    """Each classifier of the study as a cross of its two intervals, and the line through the towers."""
    runs = Path(__file__).parents[2] / "docs/icons/first/scaling/runs.jsonl"
    runs = [json.loads(line) for line in runs.read_text().splitlines()]
    clip = max(
        (run for run in runs if "sites" in run["run"]), key=lambda run: len(run["run"]["sites"])
    )["found"]["homes"]
    ticks, ends = [0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99], logit([0.005, 0.995])
    figure, axes = plt.subplots(1, 3, figsize=(11, 4.2), layout="constrained", sharey=True)
    for axis, site in zip(axes, clip):
        towers = {
            least: [
                run["found"]
                for run in runs
                if run["run"].get("home") == site and run["run"]["steps"] >= least
            ]
            for least in (20, 250)
        }
        for name, some, colour in (
            ("seven towers", towers[20], "tab:green"),
            ("zero-shot", [clip[site]["zero-shot"]], "tab:blue"),
            ("neighbour", [clip[site]["labels"]], "tab:orange"),
        ):
            for k, tests in enumerate(some):
                (x, *across), (y, *up) = (
                    logit([tests[test][end] for end in ("value", "low", "high")])
                    for test in ("home", "heldout_site")
                )
                axis.plot(across, [y, y], color=colour, lw=1.3, label=None if k else name)
                axis.plot([x, x], up, color=colour, lw=1.3)
        for name, least, dashes in (("line of seven", 20, "-"), ("line of four", 250, "--")):
            home, shifted = (
                [run[test]["value"] for run in towers[least]] for test in ("home", "heldout_site")
            )
            axis.plot(ends, np.poly1d(baseline(home, shifted))(ends), dashes, color=DARK, lw=1)
            axis.plot([], [], dashes, color=DARK, lw=1, label=name)
        axis.set_title(site)
        axis.set_xlabel("accuracy at home")
        axis.set_xlim(ends)
        axis.set_ylim(logit([0.005, 0.95]))
        axis.set_xticks(logit(ticks), ticks)
        axis.set_yticks(logit(ticks[:-1]), ticks[:-1])
    axes[0].set_ylabel("accuracy on Font Awesome")
    axes[0].legend(loc="lower right", frameon=False)
    figure.savefig(pen.FIGURES / "15_lines.png", dpi=80, metadata={"Software": None})
    plt.close(figure)


def main():
    drawings()
    height()
    styles()
    lines()


if __name__ == "__main__":
    main()
