"""Checkpoints: saved atomically, loaded without running anybody's code, and resumed exactly.

A checkpoint is one self-contained file: weights, the model's config (its activation included), the
tokenizer, the optimiser, the step, the random state and the options of the run. It holds tensors,
numbers, strings, lists and dicts only, so that `torch.load(weights_only=True)` reads it.
Left out: keeping the last k checkpoints, and sharded ones; a run has one file, replaced in place.
"""

import json
import threading
import time
from pathlib import Path

import torch

from miniclip.common import UserError, replacing

FORMAT, VERSION = "miniclip", 1
SHORTEST_S, SHARE = 20, 0.02  # between two saves, and of the time that saving may take


def save(path, state):
    """Write `state` (a dict) to `path` so that a reader sees the old file or the new one, whole.

    The bytes go to a temporary file beside it, are forced to the disk, and take the name in one
    step: killed at any moment, the process leaves `path` readable.
    """
    with replacing(path) as file:
        torch.save({"format": FORMAT, "version": VERSION, **state}, file)


class Saver:
    """Writes a run's checkpoints in a thread while training goes on, one at a time.

    path: the file. every: steps between two saves; None: at least 20 s, and 50 times as long as the
    last save kept training waiting. clock: the time in seconds.
    """

    def __init__(self, path, every=None, clock=time.monotonic):
        self.path, self.every, self.clock = path, every, clock
        self.writer = self.error = None
        self.next = clock() + SHORTEST_S

    def due(self, step):
        """Whether to save after `step` steps. By the clock, not while a write is under way."""
        if self.every:
            return step % self.every == 0
        writing = self.writer is not None and self.writer.is_alive()
        return not writing and self.clock() >= self.next

    def save(self, state):
        """Copy `state` (as for `save`) to host memory and begin to write the copy.

        Waits for the write before. Raises UserError when that one failed.
        """
        began = self.clock()
        self.wait()
        copy = map_tensors(lambda x: x.detach().to("cpu", copy=True), state)
        # not a daemon: an interpreter that ends waits for the write
        self.writer = threading.Thread(target=self._write, args=(copy,))
        self.writer.start()
        now = self.clock()
        self.next = now + max(SHORTEST_S, (now - began) / SHARE)

    def wait(self):
        """Return when what was saved is on the disk. Raises UserError when it cannot be."""
        if self.writer is not None:
            self.writer.join()
        error, self.error = self.error, None
        if error is None:
            return
        reason = error
        while reason is not None and not isinstance(reason, OSError):
            reason = reason.__context__  # torch.save raises a RuntimeError over the disk's error
        if reason is None:
            raise error
        problem = f"{self.path} could not be written: {reason.strerror}"
        raise UserError(f"{problem}; a checkpoint from before is as it was") from None

    def _write(self, state):
        try:
            save(self.path, state)
        except Exception as error:
            self.error = error


def map_tensors(function, state):
    """`state`, nested dicts, lists and tuples, with function(x) in the place of every tensor x."""
    if torch.is_tensor(state):
        return function(state)
    if isinstance(state, dict):
        return {key: map_tensors(function, value) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(map_tensors(function, value) for value in state)
    return state


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
