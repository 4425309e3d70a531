"""How long a run goes on: by steps, epochs, time or a signal, and when it is given up."""

import itertools
import math
from types import SimpleNamespace

import pytest
import torch

from miniclip.common import UserError
from miniclip.data.loader import Batch
from miniclip.training.monitor import PATIENCE, Monitor

FINITE, NOT_FINITE = SimpleNamespace(finite=True), SimpleNamespace(finite=False)
PARTS = [(torch.zeros(8, 3, 2, 2), torch.zeros(8, 5))]


def monitor(due=lambda step: False, **options):
    """Of a run on 20 pairs in batches of 8."""
    args = dict(batch_size=8, steps=None, epochs=None, minutes=None, micro_batch=None) | options
    return Monitor(SimpleNamespace(**args), 20, {}, due, torch.device("cpu"))


def endless(skipped=()):
    return itertools.repeat(Batch(PARTS, list(skipped)))


def test_the_progress_is_the_share_of_the_steps_or_of_the_time():
    for run, steps in ((monitor(steps=4), 4), (monitor(epochs=1.5), 3)):  # 2 steps are an epoch
        seen = [run.progress for _ in run.batches(endless(), [])]
        assert seen == [k / (steps + 1) for k in range(1, steps + 1)] and run.done
    run = monitor(minutes=1)
    run.seconds = 45
    assert run.steps == math.inf and run.progress == 0.75 and not run.done


def test_a_signal_ends_the_run_after_the_next_step():
    run, received = monitor(steps=9), []
    for parts in run.batches(endless(), received):
        received.append(15)
    assert (run.step, run.stop, run.done) == (2, 15, False)


def test_what_a_checkpoint_holds_of_the_progress_is_gone_on_from():
    run, resumed = monitor(steps=5), monitor(steps=5)
    for _ in zip(range(3), run.batches(endless([("a.png", "damaged")]), [])):
        run.update(NOT_FINITE)
    resumed.load_state_dict(run.state_dict() | {"model": "another key"})
    assert (resumed.step, resumed.skipped_steps, resumed.skipped) == (run.step, 3, run.skipped)
    assert run.skipped == {"a.png": "damaged"} and resumed.seconds == run.seconds


def test_a_step_that_was_skipped_is_not_followed_by_a_save():
    run, saved = monitor(due=lambda step: step % 2 == 0, steps=6), []
    for _ in run.batches(endless(), []):
        run.update(NOT_FINITE if run.step == 4 else FINITE)
        if run.save:
            saved.append(run.step)
    assert saved == [2, 6]


@pytest.mark.parametrize(
    "result, words", [(NOT_FINITE, "finite gradient"), (None, "could be read")]
)
def test_the_run_is_given_up_after_many_skipped_steps_in_a_row(result, words):
    run = monitor(steps=99)
    for _ in range(PATIENCE - 1):
        run.update(result)
    run.update(FINITE)  # the count starts again
    for _ in range(PATIENCE - 1):
        run.update(result)
    with pytest.raises(UserError, match=words):
        run.update(result)
