"""What a run looks like: its curves, and what its queries find. Drawn without a display.

matplotlib's Figure is used directly, so that no window system is asked for and no global state is
touched.
"""

import json
import math
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator


def draw_curves(log, path):
    """Draw log.jsonl (loss, scale, learning rate, in-batch accuracy over steps) into a PNG."""
    text = Path(log).read_text(encoding="utf-8") if Path(log).exists() else ""
    lines = [json.loads(line) for line in text.splitlines()]
    lines = [line for line in lines if "loss" in line]
    steps = [line["step"] for line in lines]
    figure = Figure(figsize=(10, 5.6), layout="constrained")
    panels = (
        ("loss", "loss"),
        ("accuracy", "in-batch accuracy"),
        ("scale", "logit scale"),
        ("lr", "learning rate"),
    )
    for axis, (key, title) in zip(figure.subplots(2, 2).flat, panels):
        axis.plot(steps, [line[key] for line in lines], color="#1f4e79", linewidth=1.2)
        axis.set_title(title, loc="left", fontsize=10)
        axis.set_xlabel("step", fontsize=8)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
        if key == "loss" and lines:
            know_nothing = math.log(lines[-1]["batch_size"])
            axis.axhline(know_nothing, color="#999999", linestyle="--", linewidth=1)
            axis.text(steps[-1], know_nothing, "log N: knows nothing", ha="right", va="bottom",
                      fontsize=8, color="#666666")  # fmt: skip
        if key != "lr":
            axis.set_ylim(bottom=0)
    figure.savefig(path, dpi=100)


def draw_retrieval(gallery, queries, path, columns=8, answers=None):
    """Draw one row a query with the `columns` pictures it finds, best first, into a PNG.

    gallery: a retrieval.Gallery; queries: list of strings; answers: for each query the index of the
    picture that is right, or None where no one knows: the right one gets a green frame.
    Returns what was found: a list of gallery.search results.
    """
    answers = answers or [None] * len(queries)
    found = [gallery.search(query, columns) for query in queries]
    figure = Figure(figsize=(1.25 * columns, 1.55 * len(queries)), layout="constrained")
    figure.get_layout_engine().set(hspace=0.12)  # room for the queries, which are left out of it
    axes = figure.subplots(len(queries), columns, squeeze=False)
    for row, query, results, answer in zip(axes, queries, found, answers):
        for axis in row:
            axis.set_xticks([])
            axis.set_yticks([])
            axis.spines[:].set_visible(False)
        # a long title must not widen its column
        title = row[0].set_title(f"“{query}”", loc="left", fontsize=9, parse_math=False)
        title.set_in_layout(False)
        for axis, (index, cosine) in zip(row, results):
            axis.imshow(gallery.pairs.image(index))
            axis.set_xlabel(f"{cosine:.2f}", fontsize=7, labelpad=1)
            if index == answer:
                axis.spines[:].set(visible=True, color="#2a9d3a", linewidth=3)
    figure.savefig(path, dpi=100)
    return found
