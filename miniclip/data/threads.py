"""Work on pictures in threads: each thread reads a batch of pictures, and does what is done with them.

Threads are enough for this: Pillow releases Python's lock while it decodes and resizes a picture, and
torch releases it while it computes. Inside a thread torch computes with that one thread. Where torch
divides each operation among all cores instead, its threads wait for each other after every operation,
and cores that also decode pictures make all of them wait.
Left out: processes. Training uses those (loader.py), because a run of hours is worth their start.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.pool import ThreadPool

import torch
from tqdm import tqdm

from miniclip.data.dataset import BadPicture


def in_threads(work: Callable, items: Sequence, size: int) -> Iterator:
    """Yield work(batch) for batches of `size` items, in their order, from as many threads as torch has.
    The threads do not wait until a result is asked for, so results should be small.

    Where this takes more than a second, a bar on a terminal shows how many items are done and how
    long the rest will take.
    """
    batches = [items[start : start + size] for start in range(0, len(items), size)]
    threads = torch.get_num_threads()
    bar = tqdm(total=len(items), desc="reading pictures", delay=1, leave=False, disable=None)
    # the threads of this pool do not keep the process from ending while a disk lets one wait
    pool = ThreadPool(threads, torch.set_num_threads, (1,))
    try:
        with bar, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # image_io does so for one thread at a time only
            waiting = [pool.apply_async(work, (batch,)) for batch in batches]
            for batch in batches:
                while not waiting[0].ready():
                    waiting[0].wait(1)  # Ctrl-C just before a wait without end would be missed
                yield waiting.pop(0).get()
                bar.update(len(batch))
    finally:
        pool.terminate()
        torch.set_num_threads(threads)  # for threads that start later


def read_all(read: Callable, items: Sequence) -> tuple[list, list, list]:
    """(the items that could be read, read(item) of each, [(item, reason)] of the items for which read
    raised BadPicture)."""
    kept, found, skipped = [], [], []
    for item in items:
        try:
            found.append(read(item))
            kept.append(item)
        except BadPicture as error:
            skipped.append((item, str(error)))
    return kept, found, skipped
