"""Memory of a process and of those that it has started (Linux)."""

import concurrent.futures
import contextlib
import multiprocessing
import os
import threading
from pathlib import Path

import torch

from miniclip.bpe import Tokenizer
from miniclip.data import open_pairs
from miniclip.data.loader import batches


def of_loading(source, size, batch_size, workers):
    """Bytes that a fresh process and its workers hold at most while two batches are loaded, and the
    bytes of such a batch as uint8."""
    fresh = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, fresh) as pool:
        return pool.submit(_of_loading, source, size, batch_size, workers).result()


def _of_loading(source, size, batch_size, workers):
    torch.set_num_threads(1)
    pairs = open_pairs(source)
    indices = torch.arange(batch_size) % len(pairs)
    how = (Tokenizer([]), batch_size, 0, size, (0.9, 1.0))
    loaded = batches(pairs, indices.numpy(), *how, workers=workers)
    seen, done = [], threading.Event()

    def watch():
        while not done.wait(0.1):
            seen.append(_pss())

    watching = threading.Thread(target=watch)
    watching.start()
    next(loaded)
    own = sum(images.nbytes for images, _ in next(loaded).parts)
    seen.append(_pss())
    done.set()
    watching.join()
    loaded.close()
    return max(seen), own


def _pss():
    """Proportional set size in bytes: each page counts once, however many processes share it."""
    own, total = os.getpid(), 0
    children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
    for process in [own, *children]:
        with contextlib.suppress(OSError), open(f"/proc/{process}/smaps_rollup") as file:
            total += sum(int(line.split()[1]) << 10 for line in file if line.startswith("Pss:"))
    return total
