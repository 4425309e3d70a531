"""How long a run goes on: by steps, epochs, time or a signal, and when it is given up."""

import itertools
import math
from types import SimpleNamespace

import pytest
import torch

from miniclip.data.loader import Batch
from miniclip.training import monitor as monitor_file
from miniclip.training.monitor import PATIENCE, Monitor
from tests.shared import must_refuse

PARTS = [(torch.zeros(8, 3, 2, 2), torch.zeros(8, 5))]


def monitor(due=lambda step: False, **options):
    """Of a run on 20 pairs in batches of 8."""
    args = dict(batch_size=8, steps=None, epochs=None, minutes=None, micro_batch=None) | options
    return Monitor(SimpleNamespace(**args), 20, {}, due, torch.device("cpu"))


def batches(run, loader, received=()):
    """The parts of one batch after the other, as the loop of train.py takes them."""
    while (parts := run.next_batch(loader, received)) is not None:
        yield parts


def endless(skipped=(), parts=PARTS):
    """More batches than any run below takes; a run that does not end is an error."""
    return itertools.repeat(Batch(parts, list(skipped)), 200)


def test_the_progress_is_the_share_of_the_steps_or_of_the_time():
    for run, steps in ((monitor(steps=4), 4), (monitor(epochs=1.5), 3)):  # 2 steps are an epoch
        seen = [run.progress for _ in batches(run, endless())]
        assert seen == [k / (steps + 1) for k in range(1, steps + 1)] and run.done
    run = monitor(minutes=1)
    assert run.state_dict() == dict(step=0, seconds=0, skipped_steps=0, skipped={})
    for seconds, share in ((0, 0), (45, 0.75), (59, 59 / 60), (60, 1), (90, 1)):
        run.seconds = seconds
        assert run.steps == math.inf and run.progress == share and run.done == (share == 1)


def test_a_resumed_run_goes_on_from_the_progress_and_the_time_of_the_checkpoint(clock):
    run, resumed = monitor(minutes=1), monitor(minutes=1)
    for _ in zip(range(3), batches(run, endless([("a.png", "damaged")]))):
        run.count(False)
        clock.now += 7
    resumed.load_state_dict(run.state_dict() | {"model": "another key"})
    progress = dict(step=3, seconds=14, skipped_steps=3, skipped={"a.png": "damaged"})
    assert resumed.state_dict() == run.state_dict() == progress
    going_on = batches(resumed, endless())
    next(going_on)
    clock.now += 7
    next(going_on)
    assert (resumed.step, resumed.seconds) == (5, 21)


@pytest.mark.parametrize(
    "pairs, world, micro_batch, taken",
    [
        (0, 1, None, False),
        (1, 1, None, True),
        (1, 1, 2, True),  # on one rank parts without pairs are left out
        (1, 2, None, True),
        (1, 2, 2, False),  # a batch of 8 in parts of 2 on two ranks: two parts each
        (2, 2, 2, True),
    ],
)
def test_a_step_is_left_out_where_a_rank_has_fewer_pairs_than_micro_batches(
    pairs, world, micro_batch, taken, monkeypatch
):
    monkeypatch.setattr(monitor_file, "dist_info", lambda: (0, world))
    run = monitor(steps=1, micro_batch=micro_batch)
    parts = [(torch.zeros(n, 3, 2, 2), torch.zeros(n, 5)) for n in (pairs, 0)]
    [found] = batches(run, endless(parts=parts))
    assert found == (parts if taken else [])


def test_the_ranks_tell_each_other_of_a_picture_once(monkeypatch):
    told = []
    monkeypatch.setattr(
        monitor_file.process_group, "gather", lambda new: told.append(new) or [new, {"b": "gone"}]
    )
    run = monitor(steps=3)
    for _ in batches(run, endless([("a", "damaged")])):
        pass
    assert told == [{"a": "damaged"}] and run.skipped == {"a": "damaged", "b": "gone"}


def test_only_rank_0_says_when_to_save(monkeypatch):
    for rank in (0, 1):
        monkeypatch.setattr(monitor_file, "dist_info", lambda: (rank, 1))
        run = monitor(due=lambda step: True, steps=1)
        assert [run.due for _ in batches(run, endless())] == [rank == 0]


def test_a_signal_ends_the_run_after_the_present_step():
    run, received = monitor(steps=9), []
    for parts in batches(run, endless(), received):
        received.append(15)
    assert (run.step, run.stop, run.done) == (1, 15, False)


@pytest.mark.parametrize("readable, words", [(True, "finite gradient"), (False, "could be read")])
def test_the_run_is_given_up_after_many_skipped_steps_in_a_row(readable, words):
    run = monitor(steps=99)
    for _ in range(PATIENCE - 1):
        run.count(False, readable)
    run.count(True)  # the count starts again
    for _ in range(PATIENCE - 1):
        run.count(False, readable)
    must_refuse(words, run.count, False, readable)


def test_a_run_that_could_read_no_batch_says_so_at_its_end():
    run = monitor(steps=2)
    for _ in batches(run, endless([("a.png", "damaged")])):
        run.count(False, readable=False)
    must_refuse("no step could be taken", run.check_readable)
    run.skipped_steps = 1
    run.check_readable()
