"""Checkpoints: saved atomically, loaded without running anybody's code, and resumed exactly.

A checkpoint is one self-contained file: weights, the model's config (its activation included), the
tokenizer, the optimiser, the step, the random state and the options of the run. It holds tensors,
numbers, strings, lists and dicts only, so that `torch.load(weights_only=True)` reads it.
Left out: keeping the last k checkpoints, and sharded ones; a run has one file, replaced in place.
"""

import json
from pathlib import Path

import torch

from miniclip.common import UserError, replacing

FORMAT, VERSION = "miniclip", 1


def save(path, state):
    """Write `state` (a dict) to `path` so that a reader sees the old file or the new one, whole.

    The bytes go to a temporary file beside it, are forced to the disk, and take the name in one
    step: killed at any moment, the process leaves `path` readable.
    """
    with replacing(path) as file:
        torch.save({"format": FORMAT, "version": VERSION, **state}, file)


def load(path):
    """Read a checkpoint onto the CPU as a dict. Raises UserError in one sentence when it cannot."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no checkpoint at {path}; train.py writes one as checkpoint.pt")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can raise nearly anything in the unpickler
        reason = str(error).strip().split("\n")[0][:120] or type(error).__name__
        raise UserError(f"{path} cannot be read as a checkpoint: {reason}") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise UserError(f"{path} is not a miniclip checkpoint (it has no 'format': '{FORMAT}')")
    if state.get("version") != VERSION:
        raise UserError(
            f"{path} has checkpoint version {state.get('version')}, this miniclip reads {VERSION}"
        )
    return state


def random_state():
    """The state of torch's generators (CPU and every CUDA device), to go into a checkpoint."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def restore_random_state(state):
    """The inverse of random_state. CUDA states are restored where the devices are as many."""
    torch.set_rng_state(state["cpu"])
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])


def cut_log(path, step):
    """Drop the lines of a log.jsonl that were written after `step` steps were done.

    A killed run logs past its last checkpoint; a resumed one would log those steps twice. A last
    line that the kill left half-written is dropped as well.
    """
    path = Path(path)
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except (ValueError, KeyError):
            continue
    with replacing(path) as file:
        file.write("".join(kept).encode())
