"""What a run prints and logs: a header, and every few steps a line, which log.jsonl gets as well.

At the end of a run the numbers in log.jsonl are drawn as curves. With --log the numbers also go to
TensorBoard or to Weights & Biases. Only rank 0 prints and writes.
"""

import contextlib
import json
import math
import time

import torch

from miniclip import plots
from miniclip.common import refusing, replacing
from miniclip.distributed.collectives import dist_info, print0
from miniclip.training import checkpoint

# keys of a line in log.jsonl whose values must be numbers
NUMBERS = """step loss accuracy scale lr batch_size heldout_loss heldout_recall
    heldout_chance""".split()
# the panels of curves.png: {key of a line in log.jsonl: title}
PANELS = {
    "loss": "loss",
    "accuracy": "in-batch accuracy",
    "scale": "logit scale",
    "lr": "learning rate",
}


def print_header(config, model, tokenizer, pairs, monitor, device):
    """Print what is trained, on how many pairs, for how long and where."""
    length = f"{config.minutes:g} minutes" if config.minutes else f"{monitor.steps:,} steps"
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    parts = {
        f"{config.model}: {sum(p.numel() for p in model.parameters()):,} parameters": True,
        f"fine-tuned from {config.init}, lr {config.lr:g}": config.init,
        f"the {config.freeze} tower frozen: {trained:,} learn": config.freeze,
        f"{pairs.name}: {len(pairs.splits['train']):,} pairs to train on": True,
        f"{tokenizer.vocab_size:,} tokens": True,
        f"batch {monitor.batch_size:,}": True,
        f"a loss of {math.log(monitor.batch_size):.2f} is chance": (
            config.objective.startswith("contrastive")
        ),
        length: True,
        f"objective {config.objective}": config.objective != "contrastive",
        f"{config.precision} on {dist_info()[1]} x {device.type}": True,
        f"resumed at step {monitor.step:,}": monitor.step,
    }
    print0(" | ".join(part for part, applies in parts.items() if applies), flush=True)


class RunLog:
    """Prints a line of numbers every few steps, and appends it to log.jsonl. With --log the numbers
    are also sent to TensorBoard or to Weights & Biases.

    config: the options of the run. A line is logged at step 1, at the last step, and at each
    multiple of config.log_every. If log_every is None, it is 20, or a tenth of the steps in a run
    of less than 200 steps, but at least 1. step: the number of steps already taken, 0 for a new
    run.

    A killed run may have logged steps that the resumed run takes again. The lines of these steps
    are removed, and so is an incomplete last line. Damaged lines are kept. Raises UserError if
    wandb cannot start.
    """

    def __init__(self, config, step):
        self.path, self.every = config.out / "log.jsonl", config.log_every
        self.send, self.close = lambda *line: None, lambda: None
        self.last = time.monotonic(), step  # time and step of the last line
        if dist_info()[0] == 0:
            if config.log:
                self.send, self.close = WRITERS[config.log](config, step)
            kept = [text for text, line in _lines(self.path) if not line or line["step"] <= step]
            with replacing(self.path) as file:
                file.writelines(f"{text}\n".encode("utf-8", "surrogateescape") for text in kept)

    def write(self, monitor, lr, loss, grad_norm, scale=None, image=None, text=None):
        """Write the line of the present step, if it is due.

        loss, grad_norm, scale: 0-d tensors; image, text: the features (N, E). An objective without
        a shared space has neither scale nor features.
        """
        step = monitor.step
        every = self.every or max(1, int(min(200, monitor.steps)) // 10)
        due = step % every == 0 or step == 1 or monitor.done
        if not due or dist_info()[0]:
            return
        now, (before, step_before) = time.monotonic(), self.last
        step_ms = 1000 * (now - before) / (step - step_before)
        self.last = now, step
        line = {
            "step": step,
            "epoch": step / monitor.steps_per_epoch,
            "loss": loss.item(),
            "lr": lr,
            "grad_norm": grad_norm.item(),
            "batch_size": monitor.batch_size,
            "skipped_steps": monitor.skipped_steps,
            "skipped": len(monitor.skipped),
            "step_ms": step_ms,
            "pairs_per_s": 1000 * monitor.batch_size / step_ms,
        }
        if image is not None:
            line |= {"scale": scale.item(), "accuracy": in_batch_accuracy(image, text)}
        self.record(line)
        left = min(
            (monitor.steps - step) * step_ms / 1000, max(0, monitor.budget_s - monitor.seconds)
        )
        numbers = " | ".join(
            f"{name} {line[name]:.4g}"
            for name in ("loss", "lr", "scale", "accuracy")
            if name in line
        )
        skipped = f"{monitor.skipped_steps} steps skipped | " if monitor.skipped_steps else ""
        print(
            f"step {step:05d}/{monitor.steps if monitor.steps < math.inf else '-'} | "
            f"epoch {line['epoch']:.1f} | {numbers} | {skipped}"
            f"{step_ms:.0f} ms | {line['pairs_per_s']:.0f} pairs/s | "
            f"ETA {int(left) // 60}:{int(left) % 60:02d}",
            flush=True,
        )

    def record(self, line):
        """Append a line to log.jsonl, and send its numbers to the program that --log names, if any.

        line: a dict {name: number} with the key "step". Raises OSError if the file cannot be
        written, and UserError if the run's folder was moved.
        """
        checkpoint.must_be_here(self.path.parent)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self.send({name: x for name, x in line.items() if name != "step"}, line["step"])


def to_tensorboard(config, step):
    """Two functions: one writes {name: number} of a step for TensorBoard, one closes the file.

    The file is in the run's folder. TensorBoard reads all files of a folder together. It leaves out
    the steps of a killed run that the resumed run takes again.
    """
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(config.out, purge_step=step + 1)

    def send(numbers, step):
        for name, value in numbers.items():
            writer.add_scalar(name, value, step)
        writer.flush()

    return send, writer.close


def to_wandb(config, step):
    """Two functions: one sends {name: number} of a step to Weights & Biases, one ends the run.

    wandb's own files are in the run's folder. wandb calls its last folder there "run-TIME-ID". A
    resumed run takes the ID from this name, and so goes on as the same run at Weights & Biases.
    Raises UserError if wandb cannot start.
    """
    import wandb

    last = config.out / "wandb/latest-run"  # wandb's link to that folder
    before = last.resolve().name.rpartition("-")[2] if step and last.exists() else None
    with refusing("wandb cannot start"):
        run = wandb.init(
            project="miniclip",
            name=config.out.resolve().name,
            dir=config.out,
            id=before,
            resume="allow",
            reinit="create_new",
            config=config.of_run(),
        )
    return run.log, run.finish


WRITERS = {"tensorboard": to_tensorboard, "wandb": to_wandb}


@torch.no_grad()
def in_batch_accuracy(image, text, at_most=1024):
    """The share of pictures whose own caption is the nearest one, among this rank's first `at_most`
    pairs."""
    image, text = (torch.nn.functional.normalize(x[:at_most], dim=1) for x in (image, text))
    nearest = (image @ text.T).argmax(1)
    return (nearest == torch.arange(len(image), device=image.device)).float().mean().item()


def read_log(path):
    """The undamaged lines of a log.jsonl, as dicts."""
    return [line for _, line in _lines(path) if line]


def _lines(path):
    """[(text, dict)] of the lines of a log.jsonl, with None in place of the dict for a damaged
    line. An incomplete last line, which a killed run may leave, is left out."""
    data = path.read_bytes() if path.exists() else b""
    *lines, last = data.decode("utf-8", "surrogateescape").split("\n")
    return [(text, _parsed(text)) for text in [*lines, *([last] if _parsed(last) else [])]]


def _parsed(text):
    """The dict in a line of log.jsonl, or None if the line is damaged."""
    with contextlib.suppress(ValueError, RecursionError, AttributeError, TypeError):
        line = json.loads(text)
        numbers = [line.get(key, 1) for key in NUMBERS]
        plain = all(type(x) in (int, float) and not 1e15 < abs(x) < math.inf for x in numbers)
        if plain and min(line.get("step", 0), line.get("batch_size", 1)) >= 1:
            return line
    return None


def draw_curves(config, path) -> None:
    """Draw the loss, in-batch accuracy, scale and learning rate in a run's log into a PNG."""
    log, panels = read_log(config.out / "log.jsonl"), []
    measured = [line for line in log if "heldout_loss" in line]
    lines = [line for line in log if "heldout_loss" not in line]
    steps = [line["step"] for line in lines]
    for key, title in PANELS.items():
        curves = {"_": (steps, [line.get(key, math.nan) for line in lines])}
        # features that carry no information have a loss of log N if the objective is contrastive
        if key == "loss" and lines and config.objective.startswith("contrastive"):
            N = lines[-1].get("batch_size", 1)
            curves["log N: chance"] = steps, [math.log(N)] * len(steps)
        if key == "loss" and measured:
            for name, field in {"held-out pairs": "loss", "held-out: chance": "chance"}.items():
                curves[name] = (
                    [line["step"] for line in measured],
                    [line.get(f"heldout_{field}", math.nan) for line in measured],
                )
        panels.append((curves, dict(title=title, xlabel="step")))
    plots.lines(panels, path, rows=2, dashed=["log N: chance", "held-out: chance"])
