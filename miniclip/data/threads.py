"""Work on pictures in threads: each thread reads a batch of pictures and computes with them.

Threads are enough for this, because Pillow releases Python's lock while it decodes and resizes a
picture, and torch releases it while it computes. Inside each thread, torch computes with that
thread alone. If torch divided each operation among all cores instead, its threads would wait for
each other after every operation, and a core that is decoding a picture would make all of them wait.
Left out: processes, which take longer to start. Training uses processes (loader.py), because a run
of hours is worth their start.
"""

import collections
import contextlib
import functools
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.pool import ThreadPool

import torch
from tqdm import tqdm

from miniclip.data.dataset import BadPicture

PATIENCE_S = 5  # for threads that do not end


def in_order(work: Callable, items: Iterable, threads: int, start=lambda: None) -> Iterator:
    """Yield work(item) for each item, in the order of the items, from so many threads.

    start: a function that each thread calls first. At the end, and after Ctrl-C, the threads are
    waited for, but for at most PATIENCE_S together, because one of them may wait for a disk for ever.
    """
    own = []  # the threads

    def begin():
        own.append(threading.current_thread())
        start()

    try:
        # a pool whose threads do not keep the process from ending
        with ThreadPool(threads, begin) as pool:
            waiting = collections.deque(pool.apply_async(work, (item,)) for item in items)
            while waiting:
                while not waiting[0].ready():
                    waiting[0].wait(1)  # just before a wait without end, Ctrl-C would be missed
                yield waiting.popleft().get()
    finally:
        # a thread that is inside torch when Python ends would abort the process (Python 3.11)
        until = time.monotonic() + PATIENCE_S
        for thread in own:
            thread.join(max(0, until - time.monotonic()))


def in_threads(work: Callable, items: Sequence, size: int) -> Iterator:
    """Yield work(batch) for batches of `size` items, in the order of the items.

    There are as many threads as torch has. They work through all batches, whether the caller asks
    for results or not. Results that the caller has not taken yet are kept in memory, so each result
    should be small. If the work takes more than
    a second, a bar on a terminal shows how many items are done and how long the rest will take.
    """
    batches = [items[start : start + size] for start in range(0, len(items), size)]
    threads = torch.get_num_threads()
    bar = tqdm(total=len(items), desc="reading pictures", delay=1, leave=False, disable=None)
    found = in_order(work, batches, threads, functools.partial(torch.set_num_threads, 1))
    try:
        with bar, contextlib.closing(found), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what image_io does for this needs a single thread
            for batch, own in zip(batches, found):
                yield own
                bar.update(len(batch))
    finally:
        torch.set_num_threads(threads)  # for threads that start later


def read_all(read: Callable, items: Sequence) -> tuple[list, list, list]:
    """Call read(item) for each item: (the items that could be read, their results, [(item, reason)]
    of the items for which read raised BadPicture)."""
    kept, found, skipped = [], [], []
    for item in items:
        try:
            found.append(read(item))
            kept.append(item)
        except BadPicture as error:
            skipped.append((item, str(error)))
    return kept, found, skipped
