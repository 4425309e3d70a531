"""The curves of a run, drawn from log.jsonl into curves.png.

matplotlib's Figure is used without pyplot, so it needs no display and changes no global state.
"""

import math

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from miniclip.common import save_figure
from miniclip.training.logging import chance_is_log_n, read_log

# key of log.jsonl -> title
PANELS = {
    "loss": "loss",
    "accuracy": "in-batch accuracy",
    "scale": "logit scale",
    "lr": "learning rate",
}
LABEL = dict(ha="right", va="bottom", fontsize=8, color="#666666")
TITLE, X_LABEL, TICKS = dict(loc="left", fontsize=10), dict(fontsize=8), dict(labelsize=8)
CURVE, CHANCE = dict(color="#1f4e79", linewidth=1.2), dict(color="#999999", ls="--", linewidth=1)


def draw_curves(log, path):
    """Draw a log.jsonl (loss, in-batch accuracy, scale and learning rate by step) into a PNG."""
    lines = read_log(log)
    steps = [line["step"] for line in lines]
    figure = Figure(figsize=(10, 5.6), layout="constrained")
    for axis, (key, title) in zip(figure.subplots(2, 2).flat, PANELS.items()):
        axis.plot(steps, [line.get(key, math.nan) for line in lines], **CURVE)
        axis.set_title(title, **TITLE)
        axis.set_xlabel("step", **X_LABEL)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.tick_params(**TICKS)
        axis.spines[["top", "right"]].set_visible(False)
        if key == "loss" and lines and chance_is_log_n(lines[-1]):
            chance = math.log(lines[-1].get("batch_size", 1))
            axis.axhline(chance, **CHANCE)
            axis.annotate("log N: chance", (steps[-1], chance), **LABEL)
        if key != "lr":
            axis.set_ylim(bottom=0)
    save_figure(figure, path)
