"""The curves of a run, drawn from log.jsonl into curves.png."""

import math

from miniclip import plots
from miniclip.training.logging import chance_is_log_n, read_log

# key of log.jsonl -> title
PANELS = {
    "loss": "loss",
    "accuracy": "in-batch accuracy",
    "scale": "logit scale",
    "lr": "learning rate",
}


def draw_curves(log, path) -> None:
    """Draw a log.jsonl (loss, in-batch accuracy, scale and learning rate by step) into a PNG."""
    lines, panels = read_log(log), []
    held_out = [(line["step"], line["heldout_loss"]) for line in lines if "heldout_loss" in line]
    lines = [line for line in lines if "heldout_loss" not in line]
    steps = [line["step"] for line in lines]
    for key, title in PANELS.items():
        curves = {"_": (steps, [line.get(key, math.nan) for line in lines])}
        if key == "loss" and lines and chance_is_log_n(lines[-1]):
            chance = math.log(lines[-1].get("batch_size", 1))
            curves["log N: chance"] = steps, [chance] * len(steps)
        if key == "loss" and held_out:
            curves["held-out pairs"] = tuple(zip(*held_out))
        panels.append((curves, dict(title=title, xlabel="step")))
    plots.lines(panels, path, rows=2, dashed=["log N: chance"])
