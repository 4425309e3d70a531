"""Work is done in threads, in order, and not all at once."""

import threading
import time

import torch

from miniclip.common import UserError
from miniclip.data.dataset import BadPicture
from miniclip.data.threads import in_order, in_threads, read_all
from tests.shared import must_refuse


def test_batches_are_in_order_from_threads_of_one_core(set_threads):
    set_threads(2)
    who, meeting = set(), threading.Barrier(2)  # passes when two threads are at work

    def work(batch):
        if batch[0] < 8:
            meeting.wait(60)
        who.add((threading.current_thread(), torch.get_num_threads()))
        return batch

    found = in_threads(work, range(42), 4)
    first = next(found)
    assert len(who) == 2 and {own for _, own in who} == {1} and torch.get_num_threads() == 2
    assert [i for batch in (first, *found) for i in batch] == [*range(42)]
    assert torch.get_num_threads() == 2 and not [*in_threads(work, [], 4)]


def test_an_error_is_raised_where_its_batch_is_and_a_bad_picture_costs_itself_only(set_threads):
    set_threads(2)

    def read(i):
        if i % 5 == 0:
            raise BadPicture(f"damaged {i}") if i < 10 else UserError("wrong")
        return -i

    found = in_threads(lambda batch: read_all(read, batch), range(20), 4)
    assert next(found) == ([1, 2, 3], [-1, -2, -3], [(0, "damaged 0")])
    assert next(found) == ([4, 6, 7], [-4, -6, -7], [(5, "damaged 5")])
    must_refuse("wrong", next, found)


def test_threads_have_ended_when_the_caller_gives_up():
    """Python aborts the process if one of them is inside torch when the process ends."""
    before = threading.active_count()
    found = in_order(lambda item: time.sleep(0.2), range(99), 2)
    next(found)
    assert threading.active_count() > before
    found.close()
    assert threading.active_count() == before
