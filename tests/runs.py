"""Short runs of train.py, stopped in the middle as a user or a batch system would, and compared."""

import json
import os
import signal
from pathlib import Path

import torch

import train
from miniclip.training import checkpoint


def on(pairs_csv, out, *more):
    """Arguments of a run in batches of 8. Options in `more` take the place of these."""
    usual = {"--data": pairs_csv, "--out": out, "--batch-size": 8, "--threads": 1}
    own = [word for pair in usual.items() if pair[0] not in more for word in pair]
    return [str(a) for a in (*own, *more)]


def run(pairs_csv, out, *more):
    """The exit code of train.py."""
    return train.main(on(pairs_csv, out, *more))


def resume(out, *more):
    return train.main(["--out", str(out), "--resume", "--threads", "1", *map(str, more)])


def final(out):
    """The state in the checkpoint of a run."""
    return checkpoint.load(Path(out) / "checkpoint.pt")


def lengthen(out, steps):
    """Let a run that is over go on to more steps."""
    state = final(out)
    state["options"]["steps"] = steps
    checkpoint.save(Path(out) / "checkpoint.pt", state)


def log(out):
    """The lines of its log.jsonl about training."""
    lines = [json.loads(line) for line in (Path(out) / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if "loss" in line]


def assert_same_weights(a, b):
    """That two runs end at the same step with the same bits."""
    a, b = final(a), final(b)
    assert a["step"] == b["step"]
    different = [name for name in a["model"] if not torch.equal(a["model"][name], b["model"][name])]
    assert not different, f"{len(different)} of {len(a['model'])} differ: {different[:3]}"


def at_loss(monkeypatch, number, what, owner=train, name="contrastive_loss"):
    """Call what() while the loss is computed for the `number`th time; later ones are as ever."""
    real, calls = getattr(owner, name), []

    def loss(*args):
        calls.append(1)
        if len(calls) == number:
            what()
        return real(*args)

    monkeypatch.setattr(owner, name, loss)


def stopped_and_resumed(
    pairs_csv, folder, monkeypatch, *options, main=train.main, owner=train, name="contrastive_loss"
):
    """Run twice, once stopped by SIGTERM in its third loss and resumed, as a user or a batch system
    would; assert that both end with the same weights."""
    assert main(on(pairs_csv, folder / "whole", *options)) == 0
    with monkeypatch.context() as patch:
        at_loss(patch, 3, lambda: os.kill(os.getpid(), signal.SIGTERM), owner, name)
        assert main(on(pairs_csv, folder / "parts", *options)) == 128 + signal.SIGTERM
    assert 0 < final(folder / "parts")["step"] < final(folder / "whole")["step"]
    assert main(["--out", str(folder / "parts"), "--resume", "--threads", "1"]) == 0
    assert_same_weights(folder / "whole", folder / "parts")
