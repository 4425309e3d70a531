"""Checkpoints: written atomically, read without running any code, and resumed bit for bit.

A checkpoint is one self-contained file: weights, the model's config (its activation included), the
tokenizer, the optimizer, the step and the options of the run. It holds tensors, numbers, strings,
lists and dicts only, so that `torch.load(weights_only=True)` reads it. No random state is needed:
after the weights are initialized nothing draws from torch's global generators.
Left out: keeping the last k checkpoints, and sharded checkpoints. A run has one checkpoint file,
which is replaced at each save.
"""

import contextlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from miniclip.common import UserError, check_output, holds, odd_file, refuse, refusing, replacing
from miniclip.data import BUILT_IN
from miniclip.distributed import process_group
from miniclip.distributed.collectives import dist_info, print0
from miniclip.plots import MARKS
from miniclip.training import archive

FORMAT, VERSION = "miniclip", 1
LOCK = ".miniclip-lock"  # held while a run writes into its folder
UNSAVED = "no checkpoint yet"  # the content of LOCK until the run has written one
_held = {}  # {folder of a run of this process: its open LOCK}
BEST = "best.pt"  # what evaluation/held_out.py writes
WRITTEN = "checkpoint.pt log.jsonl results.json curves.png retrieval.png".split()  # by a run
# {suffix: bytes that are in a run's files, and in hardly any other files}
OURS = {".jsonl": b'"pairs_per_s": ', ".json": b'\n  "machine": {', ".png": MARKS[0]}
MOST_LEARNED = 1 << 20  # pairs whose hashes are in a checkpoint, for each caption 8 bytes
SHORTEST_S = 20  # the shortest time between two saves, if the clock decides
SHARE = 0.02  # training waits for saves at most 2 % of the time
# The types of a checkpoint's parts. A resumed run needs all of them except the packages and what
# was measured on held-out pairs, which only best.pt has.
PARTS = dict.fromkeys(
    "model config tokenizer options optimizer scaler skipped packages".split(), dict
) | dict(
    step=int, pairs=int, skipped_steps=int, seconds=float, heldout_loss=float, heldout_pairs=int
)


def save(path, state):
    """Write the dict `state` to `path`. A reader sees the whole old file or the whole new one.

    The bytes are written to a temporary file in the same folder and forced to the disk. Then the
    temporary file is renamed. So `path` stays readable if the process is killed at any moment.
    Raises UserError, and leaves the old file, if `load` would refuse the state.
    """
    strange = _strange(state)
    refuse(
        {
            f"{path} cannot hold {strange}; it holds tensors, numbers, strings, lists and dicts": strange
        }
    )
    with replacing(path) as file:
        torch.save({"format": FORMAT, "version": VERSION, **state}, file)


def _strange(x):
    """What in nested dicts, lists and tuples `load` would refuse, in words, or "" if nothing."""
    if isinstance(x, (dict, list, tuple)):
        return next(filter(None, map(_strange, x.values() if isinstance(x, dict) else x)), "")
    if isinstance(x, torch.Tensor):
        is_whole = not x.is_complex() and x.nbytes <= x.untyped_storage().nbytes()
        return "" if is_whole else f"a tensor of shape {tuple(x.shape)} that is expanded or complex"
    is_plain = x is None or type(x) in (str, bool, int, float)  # numpy's float64 is a float, too
    return "" if is_plain else f"a {type(x).__name__}"


def learned_by(content):
    """The hashes (Pairs.hashes_of) of the pairs that a model was trained on, an int64 tensor. None
    if its run does not say. content: what the file of the weights holds. For weights that no run of
    train.py made, there are none."""
    found, options = content.get("learned"), content.get("options", {})
    if torch.is_tensor(found) and found.dtype == torch.long and found.ndim == 1:
        return found
    is_known = "learned" not in content and (
        content.get("format") != FORMAT
        or (options.get("data") in (None, *BUILT_IN) and not options.get("init"))
    )
    return torch.empty(0, dtype=torch.long) if is_known else None


def hold_back(pairs, contents):
    """Remove pairs from the held-out splits of a run if its model learned them in another run, and
    print how many. Otherwise the scores on these splits would be too good.

    pairs: the pairs of the run. contents: what the files of the model and of other models hold, for
    example of the model that it was tuned from.
    """
    found = filter(torch.is_tensor, map(learned_by, contents))
    known = {h for learned in found for h in learned.tolist()}
    held_out = {split: own for split, own in pairs.splits.items() if known and split != "train"}
    hashes = {i: pairs.hashes_of(i) for own in held_out.values() for i in own}
    known &= set().union(*hashes.values())
    if known:  # a pair that is held out may have the name and the caption of one that is not
        known -= {h for i in pairs.splits["train"] for h in pairs.hashes_of(i)}
    kept = {k: [i for i in own if known.isdisjoint(hashes[i])] for k, own in held_out.items()}
    if left := sum(map(len, held_out.values())) - sum(map(len, kept.values())):
        pairs.splits |= kept
        print0(
            f"{left:,} of the pairs that are held out were learned in another training of these "
            "weights; they are left out of the test"
        )


def describe(config, model, tokenizer, pairs, start):
    """The parts of a checkpoint that stay the same during a run. start: the checkpoint that the run
    goes on from, or what initial_state returned, or None.

    "learned" are the sorted hashes of the pairs that this run and the runs before it train on, or
    None if they are not known. Emoji and icons have no part in it.
    """
    train, learned = pairs.splits["train"], [] if start is None else start.get("learned")
    is_built_in = config.data in (None, *BUILT_IN)
    own = [] if is_built_in else train[:MOST_LEARNED]
    if learned is not None:
        own = {h for i in own for h in pairs.hashes_of(i)}
        is_known = is_built_in or own and len(train) <= MOST_LEARNED
        both = sorted(own.union(map(int, learned)))
        learned = torch.tensor(both, dtype=torch.long) if is_known else None
    return dict(
        config=model.config,
        tokenizer=tokenizer.state(),
        options=config.of_run(),
        pairs=len(pairs),
        packages=pairs.packages,
        pairs_digest=pairs.digest,
        learned=learned,
    )


class Saver:
    """Writes a run's checkpoints in a thread while training goes on, one at a time.

    path: the checkpoint file. every: the number of steps between two saves, or None if the clock
    decides. By the clock, the next save is due at least 20 s after the last one. If training had to
    wait t seconds for the last save, the next save is due at least 50 t seconds later. So training
    waits for saves at most 2 % of the time.
    """

    def __init__(self, path, every=None):
        self.path, self.every = path, every
        self.next = time.monotonic() + SHORTEST_S
        self.thread, self.write = ThreadPoolExecutor(1), None  # at exit Python waits for the thread

    def due(self, step):
        """Whether to save after `step` steps. If the clock decides, the answer is no while a
        checkpoint is still being written."""
        by_the_clock = (self.write is None or self.write.done()) and time.monotonic() >= self.next
        return step % self.every == 0 if self.every else by_the_clock

    def save(self, state):
        """Copy the dict `state` to host memory, and write the copy in the thread.

        First waits for the previous write. Raises UserError if the previous write failed.
        """
        began = time.monotonic()
        self.wait()
        self.write = self.thread.submit(self._write, copied(state))
        now = time.monotonic()
        self.next = now + max(SHORTEST_S, (now - began) / SHARE)

    def _write(self, state):
        must_be_here(self.path.parent)
        save(self.path, state)
        with contextlib.suppress(OSError):  # removes UNSAVED, if it is there
            os.truncate(self.path.with_name(LOCK), 0)

    def wait(self):
        """Wait until the last state is on the disk. Raises UserError if the write failed; a second
        call does not raise it again."""
        write, self.write = self.write, None
        try:
            if write:
                write.result()
        except OSError as error:
            must_be_here(self.path.parent)
            kept = "; the previous checkpoint is unchanged" * self.path.exists()
            raise UserError(f"{self.path} could not be written: {error.strerror}{kept}") from None


def copied(state):
    """A copy of nested dicts, lists and tuples, with the copy of each tensor in host memory."""
    if isinstance(state, dict):
        return {key: copied(value) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(copied(value) for value in state)
    return state.detach().to("cpu", copy=True) if torch.is_tensor(state) else state


def load(path, needs=()):
    """Read a checkpoint as a dict of CPU tensors, numbers and strings.

    needs: the names of parts that must be there. Raises UserError if there is no checkpoint or it
    cannot be read, or if a part is missing or has another type than `save` writes.
    """
    path = Path(path)
    refuse({f"no checkpoint at {path}; train.py writes one as checkpoint.pt": not path.is_file()})
    with refusing(f"{path} cannot be read as a checkpoint"):
        state = archive.read(path)
    return checked(path, state, needs)


def checked(path, state, needs=()):
    """Check `state`, which was read from the file `path`, as `load` does, and return it. Raises
    UserError for a state that `load` would refuse."""
    told = state if isinstance(state, dict) else {}
    version = f"{told.get('version')!r:.40}"
    refuse(
        {
            f"{path} is not a miniclip checkpoint (it has no 'format': '{FORMAT}')": (
                told.get("format") != FORMAT
            ),
            f"{path} has checkpoint version {version}, but this miniclip reads {VERSION}": (
                version != str(VERSION)
            ),
        }
    )
    for name, kind in PARTS.items():
        value = state.get(name, None if name in needs else kind())
        if not isinstance(value, kind) or kind is not dict and not 0 <= value < 1e15:
            found = value if isinstance(value, (int, float)) else f"a {type(value).__name__}"
            found = found if name in state else "missing"
            raise UserError(f"{path} is no checkpoint that can be read: its {name!r} is {found}")
    refuse(
        {
            f"{path} is no checkpoint that can be read: its model is not a dict of tensors": (
                not are_weights(state.get("model", {}))
            ),
            f"{path} cannot be resumed, because its weights are no longer float32; bring the run's "
            "own file back, or begin a new run from this one with --init": (
                "optimizer" in needs
                and are_weights(state["model"])
                and any(x.dtype in (torch.half, torch.bfloat16) for x in state["model"].values())
            ),
        }
    )
    return state


def are_weights(state):
    """Whether `state` is a dict {name: tensor}."""
    return isinstance(state, dict) and all(
        isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in state.items()
    )


@contextlib.contextmanager
def alone(out):
    """A block in which no other run can write to the folder `out`. All ranks enter it, and rank 0
    holds the folder's lock. If the folder is missing, it is made. Windows and some network disks
    have no locks, so another run is not noticed there.

    Raises UserError if another run holds the lock, or if a run's files cannot be written there.
    """
    with contextlib.ExitStack() as held:
        with process_group.together():
            if dist_info()[0] == 0:
                for name in (LOCK, *WRITTEN):
                    check_output(out / name)
                path = out / LOCK
                refuse({f"{path} is a link; delete it, or choose another --out": path.is_symlink()})
                file = held.enter_context(open(path, "a"))
                if hasattr(os, "register_at_fork"):  # or loading processes would hold the lock
                    os.register_at_fork(after_in_child=file.close)
                try:  # the lock ends with the process
                    import fcntl

                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise UserError(
                        f"another run is writing to {out}; choose another --out"
                    ) from None
                except (ImportError, OSError):  # Windows and some network disks have no locks
                    pass
                _held[out] = file
                held.callback(_held.pop, out)
        yield


def must_be_here(out):
    """Raise UserError if this process has a run in the folder `out`, and the folder was moved or
    deleted, or another run has taken its place."""
    if out in _held:
        path, own = out / LOCK, os.fstat(_held[out].fileno())
        ours = not path.exists() or os.path.samestat(os.stat(path), own)
        refuse(
            {
                f"{out} was moved, deleted or replaced while this run was writing to it; what was saved "
                "is where the folder is now: go on there with --resume": not (out.is_dir() and ours)
            }
        )


def check_files(out, names=tuple(WRITTEN[2:])):
    """Raise UserError if a run would replace a file in the folder `out` that no run wrote. An empty
    file may be replaced. names: the files that the run would replace."""
    must_be_here(out)
    refuse(
        {
            f"{path} was not written by a run; choose another --out": (
                path.stat().st_size and not holds(path, [OURS[path.suffix]])
            )
            for path in map(out.joinpath, names)
            if path.is_file()
        }
    )


def find(out, resume):
    """The state of the checkpoint in the folder `out`, or None if there is no checkpoint.

    resume: whether the run in `out` goes on. A run that torchrun has restarted always goes on. A
    run that was killed before its first save goes on from step 0. Raises UserError if

    - the checkpoint cannot be read, is a link whose target is gone, or is not a file;
    - there is a checkpoint, but the run does not go on;
    - the run goes on, but its checkpoint is gone, although other files of this run are there;
    - a file in `out` has the name of a run's file, but no run wrote it.
    """
    path = out / "checkpoint.pt"
    goes_on = resume or process_group.told_by_torchrun("TORCHELASTIC_RESTART_COUNT", 0) > 0
    refuse(
        {
            **odd_file(path),
            f"{out} holds a checkpoint.pt; go on with --resume, or choose another --out": (
                path.exists() and not goes_on
            ),
        }
    )
    state = (
        load(path, PARTS.keys() - {"packages", "heldout_loss", "heldout_pairs"})
        if path.exists()
        else None
    )
    check_files(out, WRITTEN[2:] if state else WRITTEN[1:])
    if state is None:
        marked = out / LOCK
        mark = marked.read_bytes() if marked.exists() else b""
        left = [
            name
            for name in (BEST, *WRITTEN[1:])
            if (out / name).exists() and (out / name).stat().st_size
        ]
        refuse(
            {
                f"{out} holds {' and '.join(left)} of a run, but its checkpoint.pt is missing; bring "
                "it back, or choose another --out, or start a new run here without --resume": (
                    goes_on and left and mark != UNSAVED.encode()
                )
            }
        )
        # not if there are files of a run whose checkpoint is elsewhere: until this run has replaced
        # them, --resume must go on asking for that checkpoint
        if not left:
            with contextlib.suppress(OSError):  # the disk may be full
                marked.write_text(UNSAVED)
    return state


@contextlib.contextmanager
def resuming(out, state):
    """A block that uses `state`, which `find` returned. Any error in the block becomes a UserError,
    because the checkpoint may have been changed by hand. If `state` is None, errors stay as they
    are."""
    try:
        yield
    except Exception as error:
        if state is None or isinstance(error, UserError):
            raise
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise UserError(f"{out / 'checkpoint.pt'} is damaged, or was changed: {reason}") from None
