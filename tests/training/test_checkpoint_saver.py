"""Saving during training: what is saved, how often, one at a time, and a disk that is full."""

import threading
import time

import pytest
import torch

from miniclip.common import UserError
from miniclip.training import checkpoint


class Clock:
    """Seconds that pass only when they are added."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


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
def test_saving_takes_two_percent_of_the_time_at_most(waited_s, next_s, tmp_path, monkeypatch):
    clock = Clock()

    def slow_copy(state):
        clock.now += waited_s
        return state

    monkeypatch.setattr(checkpoint, "copied", slow_copy)
    saver = checkpoint.Saver(tmp_path / "c.pt", clock=clock)
    assert not saver.due(10**6)
    clock.now += 20
    assert saver.due(1)
    saver.save({})
    saver.wait()
    clock.now += next_s - 0.01
    assert not saver.due(2)
    clock.now += 0.02
    assert saver.due(3)


def test_by_the_clock_nothing_is_due_while_a_write_is_under_way(tmp_path, held):
    saver = checkpoint.Saver(tmp_path / "c.pt", clock=(clock := Clock()))
    saver.save({})
    clock.now += 1000
    assert not saver.due(5)
    held.set()
    saver.wait()
    assert saver.due(5)


def test_steps_win_over_the_clock(tmp_path):
    saver = checkpoint.Saver(tmp_path / "c.pt", every=3, clock=(clock := Clock()))
    clock.now += 1000
    assert [step for step in range(1, 10) if saver.due(step)] == [3, 6, 9]


def test_one_write_at_a_time(tmp_path, held):
    saver = checkpoint.Saver(tmp_path / "c.pt", every=1)
    saver.save(dict(step=1))
    second = threading.Thread(target=saver.save, args=(dict(step=2),))
    second.start()
    time.sleep(0.1)  # in which the second would begin to write if it did not wait
    held.set()
    second.join()
    saver.wait()
    assert held.most == 1 and checkpoint.load(tmp_path / "c.pt")["step"] == 2


@pytest.fixture
def small_disk():
    """Files of this process cannot grow over 1 MB: a write fails as on a full disk."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("report", ["wait", "save"])
def test_a_full_disk_is_one_sentence_and_leaves_the_old_file(report, tmp_path, small_disk):
    saver = checkpoint.Saver(tmp_path / "c.pt")
    saver.save(dict(step=1))
    saver.wait()
    saver.save(dict(step=2, w=torch.zeros(10**6)))  # training goes on
    with pytest.raises(UserError, match="c.pt could not be written: File too large") as error:
        saver.wait() if report == "wait" else saver.save(dict(step=3))
    assert "\n" not in str(error.value)
    assert checkpoint.load(tmp_path / "c.pt")["step"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["c.pt"]
    saver.save(dict(step=4))
    saver.wait()  # an error is raised once
    assert checkpoint.load(tmp_path / "c.pt")["step"] == 4


def test_a_bug_is_not_taken_for_a_full_disk(tmp_path):
    saver = checkpoint.Saver(tmp_path / "c.pt")
    saver.save(dict(bad=lambda: None))  # cannot be pickled
    with pytest.raises(AttributeError):
        saver.wait()
