"""What a run prints and logs: a header, a line every few steps, and the same numbers in log.jsonl.

With --log the numbers of log.jsonl also go to TensorBoard or to Weights & Biases. Only rank 0 prints
and writes.
"""

import contextlib
import json
import math
import time

import torch
from torch.nn import functional as F

from miniclip.common import UserError, emulates, replacing
from miniclip.distributed.collectives import dist_info, print0

# of a line, for its readers
NUMBERS = "step loss accuracy scale lr batch_size heldout_loss heldout_recall".split()


def print_header(config, model, tokenizer, pairs, monitor, device):
    """Print what is trained, on how many pairs, for how long and where."""
    length = (
        f"{monitor.steps:,} steps" if monitor.steps < math.inf else f"{config.minutes:g} minutes"
    )
    count, learn = (
        sum(p.numel() for p in model.parameters() if p.requires_grad or all_of_them)
        for all_of_them in (True, False)
    )
    parts = [
        f"{config.model}: {count:,} parameters",
        f"{pairs.name}: {len(pairs.splits['train']):,} pairs to train on",
        f"{tokenizer.vocab_size:,} tokens",
        f"batch {monitor.batch_size:,}",
        length,
        *([] if config.objective == "contrastive" else [f"objective {config.objective}"]),
        f"{config.precision} on {dist_info()[1]} x {device.type}",
    ]
    if config.init:
        frozen = f", the {config.freeze} tower frozen: {learn:,} learn" if config.freeze else ""
        parts[1:1] = [
            f"fine-tuned from {config.init}{frozen}",
            f"lr {config.lr:g}, warm-up {config.warmup:g} of the run, weight decay {config.weight_decay:g}",
        ]
    if monitor.step:
        parts.append(f"resumed at step {monitor.step:,}")
    print0(" | ".join(parts), flush=True)
    if device.type == "cpu" and emulates(config.precision):
        print0(
            f"this CPU has no {config.precision} arithmetic that torch can use: it is emulated, and "
            "a step takes up to ten times as long as with --precision fp32",
            flush=True,
        )


class RunLog:
    """Writes a line about the run every few steps: into log.jsonl, where --log says, and printed.

    config: the options of the run. Its log_every may be None: then a line comes every 20th step, or ten
    lines in a run of less than 200 steps. step: the number of steps already taken, 0 for a new run. A
    killed run may have logged steps that the resumed run takes again: their lines are removed, and so
    is an incomplete last line. Damaged lines are kept. Raises UserError where wandb cannot start.
    """

    def __init__(self, config, step):
        self.path, self.every = config.out / "log.jsonl", config.log_every
        self.objective, self.send, self.close = config.objective, lambda *line: None, lambda: None
        self.last = time.monotonic(), step  # of the last line
        if dist_info()[0] == 0:
            if config.log:
                self.send, self.close = WRITERS[config.log](config, step)
            kept = [text for text, line in _lines(self.path) if not line or line["step"] <= step]
            with replacing(self.path) as file:
                file.writelines(f"{text}\n".encode("utf-8", "surrogateescape") for text in kept)

    def write(self, monitor, lr, loss, grad_norm, scale=None, image=None, text=None):
        """Write the line of the present step, if it is due.

        loss, grad_norm, scale: 0-d tensors; image, text: the features (N, E). An objective without a
        shared space has neither scale nor features.
        """
        step = monitor.step
        every = self.every or max(1, int(min(200, monitor.steps)) // 10)
        due = step % every == 0 or step == 1 or monitor.done
        if not due or dist_info()[0]:
            return
        now, (before, step_before) = time.monotonic(), self.last
        step_ms = 1000 * (now - before) / (step - step_before)
        self.last = now, step
        features = image is not None
        line = {
            "step": step,
            "epoch": step / monitor.steps_per_epoch,
            "loss": loss.item(),
            "scale": scale.item() if features else None,
            "lr": lr,
            "accuracy": in_batch_accuracy(image, text) if features else None,
            "grad_norm": grad_norm.item(),
            "batch_size": monitor.batch_size,
            "skipped_steps": monitor.skipped_steps,
            "skipped": len(monitor.skipped),
            "step_ms": step_ms,
            "pairs_per_s": 1000 * monitor.batch_size / step_ms,
        }
        if self.objective != "contrastive":
            line["objective"] = self.objective
        line = {name: value for name, value in line.items() if value is not None}
        self.record(line)
        left = min(
            (monitor.steps - step) * step_ms / 1000, max(0, monitor.budget_s - monitor.seconds)
        )
        log_n = f" (log N {math.log(monitor.batch_size):.2f})" if chance_is_log_n(line) else ""
        scale_now = f"scale {line['scale']:.1f} | " if features else ""
        accuracy = f"accuracy {line['accuracy']:.2f} | " if features else ""
        skipped = f"{monitor.skipped_steps} steps skipped | " if monitor.skipped_steps else ""
        print(
            f"step {step:05d}/{monitor.steps if monitor.steps < math.inf else '-'} | "
            f"epoch {line['epoch']:.1f} | "
            f"loss {line['loss']:.4f}{log_n} | {scale_now}lr {lr:.1e} | {accuracy}"
            f"{skipped}{step_ms:.0f} ms | {line['pairs_per_s']:.0f} pairs/s | "
            f"ETA {int(left) // 60}:{int(left) % 60:02d}",
            flush=True,
        )

    def record(self, line):
        """Append a line to log.jsonl, a dict with the number of the step, and send its numbers where
        --log says. Raises OSError."""
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        numbers = {name: x for name, x in line.items() if name != "step" and not isinstance(x, str)}
        self.send(numbers, line["step"])


def to_tensorboard(config, step):
    """(a function that writes {name: number} of a step, a function that closes the file).

    The file is in the run's folder. TensorBoard reads all files of a folder, and leaves out of the
    earlier ones the steps that a resumed run takes again.
    """
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(config.out, purge_step=step + 1)

    def send(numbers, step):
        for name, value in numbers.items():
            writer.add_scalar(name, value, step)
        writer.flush()

    return send, writer.close


def to_wandb(config, step):
    """The same functions for a run of Weights & Biases, whose files are in the run's folder.

    A resumed run goes on under its id, which the name of its last folder, "run-TIME-ID", ends with.
    Raises UserError where the run cannot start.
    """
    import wandb

    last = config.out / "wandb/latest-run"  # wandb's link to that folder
    before = last.resolve().name.rpartition("-")[2] if step and last.exists() else None
    how = dict(id=before, resume="allow", reinit="create_new", config=config.of_run())
    try:
        run = wandb.init(project="miniclip", name=config.out.resolve().name, dir=config.out, **how)
    except wandb.Error as error:
        raise UserError(f"wandb cannot start: {error}") from None
    return run.log, run.finish


WRITERS = {"tensorboard": to_tensorboard, "wandb": to_wandb}


def chance_is_log_n(line):
    """Whether the loss of this line's objective is log N when the features carry no information."""
    return line.get("objective", "contrastive").startswith("contrastive")


@torch.no_grad()
def in_batch_accuracy(image, text, at_most=1024):
    """The share of pictures whose own caption is the nearest one, among `at_most` of this rank."""
    image, text = F.normalize(image[:at_most], dim=1), F.normalize(text[:at_most], dim=1)
    nearest = (image @ text.T).argmax(1)
    return (nearest == torch.arange(len(image), device=image.device)).float().mean().item()


def read_log(path):
    """The undamaged lines of a log.jsonl, as dicts."""
    return [line for _, line in _lines(path) if line]


def _lines(path):
    """[(text, its dict, or None if it is damaged)] for each line of a log.jsonl. An incomplete last
    line is left out: a killed run leaves one."""
    data = path.read_bytes() if path.exists() else b""
    *lines, last = data.decode("utf-8", "surrogateescape").split("\n")
    return [(text, _parsed(text)) for text in [*lines, *([last] if _parsed(last) else [])]]


def _parsed(text):
    with contextlib.suppress(ValueError, RecursionError, AttributeError, TypeError):
        line = json.loads(text)
        numbers = [line.get(key, 1) for key in NUMBERS]
        if all(type(x) in (int, float) and not 1e15 < abs(x) < math.inf for x in numbers):
            if min(line.get("step", 0), line.get("batch_size", 1)) >= 1:
                return line | {"objective": str(line["objective"])} if "objective" in line else line
    return None
