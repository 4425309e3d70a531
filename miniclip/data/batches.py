"""Pairs to batches: an epoch is a permutation, and every visit is a function of where it stands.

Order, crop and caption come from (seed, epoch, index) and nothing else. So an interrupted run starts
again at any batch without having kept a state, and worker processes cannot change what is learned.
A batch comes in parts of 8-bit pictures and tokens; ahead.py takes them to a GPU, and
preprocess.normalise makes floats of them there. Left out: flips and colours, which captions speak
of ("facing right", "red").
"""

import contextlib
import functools
import itertools
import math
import mmap
import os
import sys
import threading
import time
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from miniclip.common import UserError
from miniclip.data.pairs import BadPicture, shuffled
from miniclip.preprocess import training_crop

UNIT = 256  # pairs in a part where there are no micro-batches: 39 MB of pixels at 224
AHEAD = 2  # parts a worker that are loaded, or being loaded, before they are asked for
MOST_WORKERS = 16  # by themselves; --workers may ask for more
_FORK = sys.platform == "linux"  # elsewhere worker processes start afresh


class Batch(NamedTuple):
    """What a step trains on: parts, a list of (images (n, 3, S, S) uint8, tokens (n, L) int64), and
    skipped, [(name, reason)] of the pictures that could not be read."""

    parts: list
    skipped: list


def epoch_order(indices, batch_size, seed, epoch, order=shuffled):
    """The batches of one epoch: (batches, batch_size) int64, the ragged last one dropped.

    A split smaller than a batch is one batch. order: how to permute, Pairs.order where some
    orders read faster than others.
    """
    visits = order(indices, seed, epoch)
    size = min(batch_size, len(visits))
    return visits[: len(visits) // size * size].reshape(-1, size)


def planned_parts(batch_size, unit, world=1):
    """In how many parts every rank reads its share of a batch: those of `unit` pairs in the largest
    share, but no more than the smallest has pairs."""
    smallest, largest = batch_size // world, -(-batch_size // world)
    return min(-(-largest // unit), smallest)


def draw(pairs, i, seed, epoch):
    """What is drawn for one visit to a pair: (rng, caption), rng for its crop. Raises BadPicture."""
    rng = np.random.default_rng((seed, epoch, i))
    return rng, pairs.caption(i, rng)


def crop(pairs, i, rng, image_size, scale, out=None):
    """The picture of one visit as training_crop makes it: (3, S, S) uint8. Raises BadPicture."""
    enough = math.ceil(2 * image_size / scale[0])  # twice what the smallest crop keeps
    return training_crop(pairs.draft(i, enough), image_size, rng, scale, out)


def join(parts):
    """All parts as one: (images (N, 3, S, S), tokens (N, L)), L that of the longest, then zeros."""
    if len(parts) == 1:
        return parts[0]
    images, tokens = zip(*parts)
    longest = max(t.shape[1] for t in tokens)
    return torch.cat(images), torch.cat([F.pad(t, (0, longest - t.shape[1])) for t in tokens])


def default_workers(device_type):
    """How many processes should load for this rank: 0 on a CPU, which trains meanwhile; on a GPU the
    rank's share of the cores but for one, from 1 to MOST_WORKERS."""
    if device_type == "cpu":
        return 0
    usable = getattr(os, "sched_getaffinity", None)  # not on macOS
    cores = len(usable(0)) if usable else os.cpu_count() or 1
    share = cores // int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    return max(1, min(share - 1, MOST_WORKERS))


class _Parts(torch.utils.data.Dataset):
    """Reads a part, (epoch, indices, slot), into a slot of `pixels`; what a worker process holds."""

    def __init__(self, pairs, tokenizer, seed, scale, pixels):
        self.pairs, self.tokenizer, self.seed, self.scale = pairs, tokenizer, seed, scale
        self.pixels = pixels  # (slots, n, 3, S, S) uint8

    def __getitem__(self, part):
        epoch, indices, slot = part
        images = self.pixels[slot].numpy()  # indexing a tensor takes 1 % of the time of a picture
        drawn, captions, skipped = [], [], []

        # all captions before the first picture: decoding one empties the processor's caches, and
        # what is done once a picture takes ten times as long afterwards
        for i in indices.tolist():
            try:
                drawn.append((i, *draw(self.pairs, i, self.seed, epoch)))
            except BadPicture as error:
                skipped.append((self.pairs.where(i), str(error)))
        for i, rng, caption in drawn:
            try:
                crop(self.pairs, i, rng, images.shape[-1], self.scale, images[len(captions)])
            except BadPicture as error:
                skipped.append((self.pairs.where(i), str(error)))
                continue
            captions.append(caption)
        tokens = self.tokenizer(captions, trim=True)
        return slot, len(captions), tokens.numpy(), skipped  # a tensor would keep a file open


def _in_order(pairs, indices, batch_size, seed, start, count, slots, rank, world):
    """(epoch, indices, slot) of each part that a rank reads, from batch `start` of the run on."""
    epoch, first = divmod(start, len(indices) // batch_size)
    slot = itertools.cycle(range(slots))
    while True:
        for batch in epoch_order(indices, batch_size, seed, epoch, pairs.order)[first:]:
            for part in np.array_split(np.array_split(batch, world)[rank], count):
                yield epoch, part, next(slot)
        epoch, first = epoch + 1, 0


def _memory(shape, shared):
    """Bytes of this shape, in memory that worker processes share."""
    if not shared:
        return torch.empty(shape, dtype=torch.uint8)
    if _FORK:  # torch's would lie in /dev/shm, for which containers often have 64 MB
        return torch.frombuffer(mmap.mmap(-1, math.prod(shape)), dtype=torch.uint8).view(shape)
    return torch.empty(shape, dtype=torch.uint8).share_memory_()


def _end_with(parent, _):
    """Have a worker end when the process that it loads for is killed: by itself it would wait for
    ever for somebody to read what it has loaded (torch 2.13)."""

    def watch():
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _as_it_is(part):
    """What DataLoader does to a part of ours: by itself it would turn arrays into tensors."""
    return part


def batches(pairs, indices, tokenizer, batch_size, seed, image_size, scale, start=0,
            micro_batch=None, workers=0, pin_memory=False, rank=0, world=1):  # fmt: skip
    """Iterate over the batches of a run on pairs[indices], epoch after epoch, for ever: Batch.

    A batch is there until the next one is asked for: all use the same memory, that of a batch and of
    2 parts a worker. tokenizer: (list of str, trim=True) -> (n, L) int64. scale: (low, high) of
    training_crop. start: how many batches to leave out, without reading them. batch_size: of all
    ranks together. rank, world: of each batch the contiguous share that rank reads; their sizes
    differ by one at most, and all together in order are the batch of world 1. A share comes in
    planned_parts parts, the same number on every rank. No part is empty, unless so many pictures
    could not be read that fewer pairs than parts are left. workers: processes that load ahead; what
    they yield is the same. pin_memory: a GPU can copy the parts while it computes. Raises UserError
    when there is nothing to visit or a batch has fewer pairs than there are ranks, RuntimeError when
    a worker dies.
    """
    if not len(indices):
        raise UserError("there are no pairs to make batches from")
    batch_size = min(batch_size, len(indices))
    if batch_size < world:
        raise UserError(f"a batch of {batch_size} pairs cannot be shared by {world} processes")
    count = planned_parts(batch_size, micro_batch or UNIT, world)
    largest = -(-(-(-batch_size // world)) // count)  # part of the largest share
    slots = count + workers * AHEAD
    pixels = _memory((slots, largest, 3, image_size, image_size), shared=workers > 0)
    order = _in_order(pairs, indices, batch_size, seed, start, count, slots, rank, world)
    parts = _Parts(pairs, tokenizer, seed, scale, pixels)
    loaded = map(parts.__getitem__, order)
    if workers:
        tokenizer([""], trim=True)  # what it makes at its first call is made once, before the fork
        # a generator of its own: DataLoader would draw from torch's, and so change the run
        loaded = iter(torch.utils.data.DataLoader(
            parts, batch_size=None, sampler=order, num_workers=workers, prefetch_factor=AHEAD,
            collate_fn=_as_it_is, generator=torch.Generator(),
            worker_init_fn=functools.partial(_end_with, os.getpid()),
            multiprocessing_context="fork" if _FORK else None,
        ))  # fmt: skip
    with _pinned(pixels) if pin_memory else contextlib.nullcontext():
        while True:
            yield _batch(itertools.islice(loaded, count), pixels, pin_memory)


def _batch(loaded, pixels, pin_memory):
    """The Batch of loaded parts, whose pictures lie in `pixels`."""
    parts, skipped = [], []
    for slot, n, tokens, bad in loaded:
        tokens = torch.from_numpy(tokens)
        parts.append((pixels[slot, :n], tokens.pin_memory() if pin_memory else tokens))
        skipped += bad
    if not all(len(images) for images, _ in parts):  # spread what is left
        parts = list(zip(*(side.tensor_split(len(parts)) for side in join(parts))))
    return Batch(parts, skipped)


@contextlib.contextmanager
def _pinned(memory):
    """Have the pages of a tensor stay where they are, for a GPU to copy from by itself.

    Tensor.pin_memory would copy, and take up to twice the bytes: it rounds to a power of two.
    """
    cuda = torch.cuda.cudart()
    torch.cuda.check_error(cuda.cudaHostRegister(memory.data_ptr(), memory.nbytes, 0))
    try:
        yield
    finally:
        torch.cuda.check_error(cuda.cudaHostUnregister(memory.data_ptr()))
