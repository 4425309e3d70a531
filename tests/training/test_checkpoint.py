"""Saving is atomic, in a thread, and rare; loading runs no code of the file; a full disk is said."""

import os
import re
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from miniclip.common import UserError
from miniclip.training import checkpoint
from tests.shared import must_refuse


def test_a_run_goes_on_from_its_folder_only_when_it_is_told_to_or_was_restarted(
    tmp_path, monkeypatch
):
    monkeypatch.delenv("TORCHELASTIC_RESTART_COUNT", raising=False)
    for resume in (False, True):
        assert checkpoint.find(tmp_path / "new", resume) is None
    parts = {name: kind() for name, kind in checkpoint.PARTS.items()}
    checkpoint.save(tmp_path / "checkpoint.pt", parts | dict(step=7))
    must_refuse(
        "holds a checkpoint.pt; go on with --resume", checkpoint.find, tmp_path, resume=False
    )
    assert checkpoint.find(tmp_path, resume=True)["step"] == 7
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert checkpoint.find(tmp_path, resume=False)["step"] == 7
    del parts["optimizer"]
    checkpoint.save(tmp_path / "checkpoint.pt", parts)
    must_refuse("its 'optimizer' is missing", checkpoint.find, tmp_path, resume=True)


@pytest.mark.parametrize(
    "odd, named",
    [
        (np.float64(0.5), "a float64"),
        ({"path": [Path("x")]}, "a PosixPath"),
        (torch.zeros(1).expand(9), "of shape (9,) that is expanded"),
        (torch.zeros(1, dtype=torch.complex64), "complex"),
    ],
)
def test_what_could_not_be_read_again_is_not_saved(tmp_path, odd, named):
    path = tmp_path / "c.pt"
    checkpoint.save(path, {"model": {"w": torch.zeros(3)}})
    must_refuse(re.escape(named), checkpoint.save, path, {"model": {}, "metric": odd})
    assert checkpoint.load(path)["model"]["w"].shape == (3,)


# --- saving while training goes on


@pytest.fixture
def held(monkeypatch):
    """Writes wait until this event is set; .most is how many were under way at once."""
    event, real, under_way = threading.Event(), checkpoint.save, []
    event.most = 0

    def save(path, state):
        under_way.append(1)
        event.most = max(event.most, len(under_way))
        assert event.wait(60)
        real(path, state)
        under_way.pop()

    monkeypatch.setattr(checkpoint, "save", save)
    yield event
    event.set()


def test_what_is_written_is_what_was_there_at_the_call(tmp_path, held):
    saver, weight, skipped = checkpoint.Saver(tmp_path / "c.pt"), torch.ones(5), {}
    group = {"lr": 0.1}
    saver.save(dict(w=weight, view=weight[1:3], nested=[(weight, group)], skipped=skipped))
    weight.add_(1)
    group["lr"], skipped["a"] = 0.2, "damaged"
    held.set()
    saver.wait()
    state = checkpoint.load(tmp_path / "c.pt")
    assert state["w"].tolist() == [1] * 5 and state["view"].tolist() == [1, 1]
    assert state["nested"][0][0].tolist() == [1] * 5 and state["nested"][0][1] == {"lr": 0.1}
    assert state["skipped"] == {}


@pytest.mark.parametrize("waited_s, next_s", [(0.01, 20), (0.4, 20), (3, 150)])
def test_saving_takes_two_percent_of_the_time_at_most(
    waited_s, next_s, tmp_path, clock, monkeypatch
):
    def slow_copy(state):
        clock.now += waited_s
        return state

    monkeypatch.setattr(checkpoint, "copied", slow_copy)
    saver = checkpoint.Saver(tmp_path / "c.pt")
    assert not saver.due(10**6)
    clock.now += 20
    assert saver.due(1)
    saver.save({})
    saver.wait()
    clock.now += next_s - 0.01
    assert not saver.due(2)
    clock.now += 0.02
    assert saver.due(3)


def test_one_write_at_a_time_and_by_the_clock_none_is_due_meanwhile(tmp_path, held, clock):
    saver = checkpoint.Saver(tmp_path / "c.pt")
    saver.save(dict(step=1))
    clock.now += 1000
    assert not saver.due(5)
    second = threading.Thread(target=saver.save, args=(dict(step=2),))
    second.start()
    time.sleep(0.1)  # in which the second would begin to write if it did not wait
    held.set()
    second.join()
    saver.wait()
    assert held.most == 1 and checkpoint.load(tmp_path / "c.pt")["step"] == 2
    clock.now += 20
    assert saver.due(5)


def test_steps_win_over_the_clock(tmp_path, clock):
    saver = checkpoint.Saver(tmp_path / "c.pt", every=3)
    clock.now += 1000
    assert [step for step in range(1, 10) if saver.due(step)] == [3, 6, 9]


@pytest.fixture
def small_disk():
    """Files of this process cannot grow over 1 MB: a write fails as on a full disk."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("report", ["wait", "save"])
@pytest.mark.parametrize(
    "unwritable, error, words",
    [
        (torch.zeros(10**6), UserError, "c.pt could not be written: File too large"),
        (threading.Lock(), UserError, "c.pt cannot hold a lock"),
    ],
)
def test_a_write_that_fails_is_said_once_and_leaves_the_old_file(
    unwritable, error, words, report, tmp_path, small_disk
):
    saver = checkpoint.Saver(tmp_path / "c.pt")
    saver.save(dict(step=1))
    saver.wait()
    saver.save(dict(step=2, w=unwritable))  # training goes on
    with pytest.raises(error, match=f"^[^\n]*{words}[^\n]*$"):
        saver.wait() if report == "wait" else saver.save(dict(step=3))
    assert checkpoint.load(tmp_path / "c.pt")["step"] == 1
    assert os.listdir(tmp_path) == ["c.pt"]
    saver.save(dict(step=4))
    saver.wait()
    assert checkpoint.load(tmp_path / "c.pt")["step"] == 4
