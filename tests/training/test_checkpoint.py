"""Saving is atomic, loading runs no code of the file, the log is cut back to the checkpoint."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from miniclip.common import UserError
from miniclip.training import checkpoint
from miniclip.training.logging import RunLog


def test_what_is_saved_is_loaded(tmp_path):
    state = dict(model={"w": torch.arange(6.0).view(2, 3)}, step=7, names=["a", "b"], lr=0.1)
    checkpoint.save(tmp_path / "c.pt", state)
    loaded = checkpoint.load(tmp_path / "c.pt")
    assert torch.equal(loaded["model"]["w"], state["model"]["w"])
    assert (loaded["step"], loaded["names"], loaded["lr"]) == (7, ["a", "b"], 0.1)
    assert os.listdir(tmp_path) == ["c.pt"]


def test_an_interrupted_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "c.pt"
    checkpoint.save(path, dict(step=1))
    with pytest.raises(AttributeError):
        checkpoint.save(path, dict(step=2, bad=lambda: None))  # cannot be pickled
    assert checkpoint.load(path)["step"] == 1
    assert os.listdir(tmp_path) == ["c.pt"]


SAVE_FOR_EVER = """
import sys, torch
from miniclip.training import checkpoint
for step in range(10**9):
    checkpoint.save(sys.argv[1], dict(step=step, w=torch.full((200_000,), float(step))))
    print(step, flush=True)
"""


@pytest.mark.slow
def test_killed_while_saving_the_file_is_whole_and_the_next_save_tidies_up(tmp_path):
    path = tmp_path / "c.pt"
    for pause in (0.0, 0.003, 0.007):
        child = subprocess.Popen(
            [sys.executable, "-c", SAVE_FOR_EVER, str(path)], stdout=subprocess.PIPE
        )
        child.stdout.readline()  # the first save is done
        time.sleep(pause)
        child.send_signal(signal.SIGKILL)
        child.communicate()
        state = checkpoint.load(path)
        assert (state["w"] == state["step"]).all()
    for left in tmp_path.glob(".*.tmp"):  # one that was just made could be a living process's
        os.utime(left, (0, 0))
    checkpoint.save(path, dict(step=0))
    assert os.listdir(tmp_path) == ["c.pt"]


class RunsCode:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    torch.save(
        {"format": "miniclip", "version": 1, "evil": RunsCode(str(tmp_path / "ran"))},
        tmp_path / "c.pt",
    )
    with pytest.raises(ValueError, match="cannot be read"):
        checkpoint.load(tmp_path / "c.pt")
    assert not (tmp_path / "ran").exists()


def test_the_log_is_cut_back_to_the_checkpoint(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps({"step": s}) + "\n" for s in (10, 20, 30)) + '{"step": 4')
    RunLog(tmp_path, every=10, step=20)
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [10, 20]


def test_a_run_goes_on_from_its_folder_only_when_it_is_told_to_or_was_restarted(
    tmp_path, monkeypatch
):
    monkeypatch.delenv("TORCHELASTIC_RESTART_COUNT", raising=False)
    for resume in (False, True):
        assert checkpoint.find(tmp_path / "new", resume) is None
    parts = {name: kind() for name, kind in checkpoint.PARTS.items()}
    checkpoint.save(tmp_path / "checkpoint.pt", parts | dict(step=7))
    with pytest.raises(UserError, match="holds a run; go on with --resume"):
        checkpoint.find(tmp_path, resume=False)
    assert checkpoint.find(tmp_path, resume=True)["step"] == 7
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert checkpoint.find(tmp_path, resume=False)["step"] == 7
    del parts["optimizer"]
    checkpoint.save(tmp_path / "checkpoint.pt", parts)
    with pytest.raises(UserError, match="its 'optimizer' is missing"):
        checkpoint.find(tmp_path, resume=True)
