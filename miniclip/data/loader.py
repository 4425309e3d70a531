"""Pairs to batches: an epoch is a permutation of the pairs, cut into batches (CLIP, section 2.5).

Order, crop and caption depend only on (seed, epoch, index). So an interrupted run can go on at any
batch without a saved state, and the number of worker processes does not change what is learned. A
batch comes in parts of 8-bit pictures and tokens. transforms.normalize turns the pictures into
floats later, when they are on the model's device. Pictures are not flipped, and their colours are
not changed, because captions speak of both ("facing right", "red").
"""

import atexit
import collections
import contextlib
import itertools
import math
import mmap
import multiprocessing
import os
import signal
import sys
import weakref
from collections.abc import Callable, Iterable

import numpy as np
import torch

from miniclip.common import checked, refuse
from miniclip.data.dataset import BadPicture, Pairs, shuffled
from miniclip.data.threads import read_all
from miniclip.data.transforms import random_redrawing, redraw, training_crop
from miniclip.distributed import process_group

UNIT = 256  # pairs in a part if micro-batches are not used: 39 MB of pixels at 224 x 224
AHEAD = 2  # parts per worker that are loaded, or being loaded, before they are asked for
MOST_WORKERS = 16  # the default maximum; --workers can raise it


# What a step trains on. parts: a list of (images (n, 3, S, S) uint8, tokens (n, L) int64). skipped:
# [(name, reason)] of the pictures that could not be read.
Batch = collections.namedtuple("Batch", "parts skipped")


def epoch_order(indices, batch_size, seed, epoch, order=shuffled, names=None):
    """The batches of one epoch: (batches, batch_size) int64, without an incomplete last one.

    If there are fewer indices than batch_size, all of them are one batch.
    order: the function that permutes the indices, such as Pairs.order. (Some sources define this
    method themselves, because they read pairs faster in some orders than in others.)
    names: a function like Pairs.names. If it is given, pictures that share a name go into different
    batches if possible. None: names have no influence.
    """
    indices = order(indices, seed, epoch)
    size = min(batch_size, len(indices))
    if names:
        return with_unique_names(indices, size, names, np.random.default_rng((seed, epoch)))
    return indices[: len(indices) // size * size].reshape(-1, size)


def with_unique_names(indices, size, names, rng):
    """Divide `indices` into len(indices) // size batches of `size` pairs, in which no name occurs
    twice if possible. Returns an array (batches, size).

    Two pictures with the same name in a batch are false negatives of each other: the caption of one
    counts as wrong for the picture of the other, although it fits. Pictures with frequent names get
    their places first. A name that has more pictures than there are batches still occurs twice in
    some batch.
    """
    count = len(indices) // size
    indices = indices.tolist()
    own = {i: names(i) for i in indices}
    frequency = collections.Counter(name for i in indices for name in own[i])
    batches, taken, left = [[] for _ in range(count)], [set() for _ in range(count)], []
    starts = rng.integers(count, size=len(indices)).tolist()
    most = sorted(indices, key=lambda i: -max(frequency[name] for name in own[i]))
    used = collections.Counter()  # {name: in how many batches it is}
    for i, start in zip(most, starts):
        everywhere = any(used[name] == count for name in own[i])
        for k in () if everywhere else itertools.chain(range(start, count), range(start)):
            if len(batches[k]) < size and taken[k].isdisjoint(own[i]):
                batches[k].append(i)
                taken[k].update(own[i])
                used.update(set(own[i]))
                break
        else:
            left.append(i)
    rest = iter(left)
    for batch in batches:
        batch += itertools.islice(rest, size - len(batch))
    return np.array(batches, np.int64)


def planned_parts(batch_size, unit, world):
    """The number of parts in which every rank reads its share of a batch.

    The shares of the ranks can differ by one pair. The largest share is divided into as few parts
    as possible, with at most `unit` pairs in each. But the number of parts is at most the number of
    pairs in the smallest share, so that no part is empty.
    """
    smallest, largest = batch_size // world, -(-batch_size // world)
    return min(-(-largest // unit), smallest)


def draw(pairs, i, seed, epoch):
    """Draw the caption of a pair in one epoch: (rng, caption). The crop is then drawn with the same
    rng. Raises BadPicture."""
    rng = np.random.default_rng((seed, epoch, i))
    return rng, pairs.caption(i, rng)


def crop(pairs, i, rng, image_size, scale, out=None):
    """A random crop of picture i: (3, S, S) uint8, see training_crop. If scale is None, the picture
    is an icon, and is redrawn instead, see transforms.redraw. Raises BadPicture."""
    if scale is None:
        return redraw(pairs.load_downscaled(i, None), image_size, **random_redrawing(rng), out=out)
    enough = math.ceil(2 * image_size / scale[0])  # the smallest crop is then 2 * image_size wide
    return training_crop(pairs.load_downscaled(i, enough), image_size, rng, scale, out)


def join(parts):
    """All parts as one: (images (N, 3, S, S), tokens (N, L)). L is the largest of all parts;
    shorter rows of tokens are filled with zeros."""
    if len(parts) == 1:
        return parts[0]
    images, tokens = zip(*parts)
    longest, pad = max(t.shape[1] for t in tokens), torch.nn.functional.pad
    return torch.cat(images), torch.cat([pad(t, (0, longest - t.shape[1])) for t in tokens])


def default_workers(device_type):
    """How many processes should load pictures for this rank.

    If the model is on the CPU, 0, because training itself needs the cores. If it is on a GPU, the
    rank's share of the CPU's cores minus one, but at least 1 and at most MOST_WORKERS.
    """
    if device_type == "cpu":
        return 0
    has_affinity = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    ranks = process_group.told_by_torchrun("LOCAL_WORLD_SIZE", 1)
    return max(1, min(cores // ranks - 1, MOST_WORKERS))


class _Parts(torch.utils.data.Dataset):
    """The data set in a worker process: it reads a part, (epoch, indices, slot), into that slot of
    pixels."""

    def __init__(self, pairs, tokenizer, seed, scale, pixels, draw, crop):
        self.pairs, self.tokenizer, self.seed, self.scale = pairs, tokenizer, seed, scale
        self.draw, self.crop = draw, crop
        self.pixels = pixels  # (slots, n, 3, S, S) uint8

    def __getitem__(self, part):
        epoch, indices, slot = part
        images = self.pixels[slot].numpy()  # indexing a tensor takes 1 % as long as a picture
        captions = []
        # all captions before the first picture: decoding a picture empties the processor's caches,
        # and drawing a caption right after it takes ten times as long
        kept, drawn, unread = read_all(
            lambda i: self.draw(self.pairs, i, self.seed, epoch), indices.tolist()
        )
        for i, (rng, caption) in zip(kept, drawn):
            out = images[len(captions)]
            try:
                self.crop(self.pairs, i, rng, out.shape[-1], self.scale, out)
                captions.append(caption)
            except BadPicture as error:
                unread.append((i, str(error)))
        tokens = self.tokenizer(captions, trim=True).numpy()  # sending a tensor keeps a file open
        return slot, len(captions), tokens, [(self.pairs.where(i), why) for i, why in unread]


def _end_with_parent(_):
    """End a worker when the process that it loads for is killed, and leave signals to that process.

    Otherwise the worker would wait for ever for a reader of what it has loaded (torch 2.13).
    """
    # the socket that noted_signals reads is the parent's, which would take a signal that this
    # worker gets as well for a second Ctrl-C
    signal.set_wakeup_fd(-1)
    for number in process_group.STOPPING:  # ignored once, so that a second signal ends a worker
        signal.signal(number, lambda number, _: signal.signal(number, signal.SIG_DFL))

    process_group.end_with_parent()


def _end_workers(loaded):
    """End the workers of a DataLoader's iterator if it still exists. loaded: a weak reference to
    it."""
    if loaded() is not None:
        loaded()._shutdown_workers()


@checked
def batches(
    pairs: Pairs,
    indices: Iterable,
    tokenizer: Callable,
    batch_size: int,
    seed: int,
    image_size: int,
    scale: tuple | list | None,
    *,
    start: int = 0,
    micro_batch: int | None = None,
    workers: int = 0,
    pin_memory: bool = False,
    unique_names=False,
    rank: int = 0,
    world: int = 1,
    draw=draw,
    crop=crop,
):
    """Yield a Batch for each step of a run on pairs[indices], epoch after epoch, for ever.

    A batch is valid until the next one is asked for, because its memory is used again. That memory
    holds one batch, and two parts for each worker.

    tokenizer: (list of str, trim=True) -> (n, L) int64.
    batch_size: the number of pairs on all ranks together.
    scale: (low, high), the range of the crop's side as a share of the picture's short side; None:
    the pictures are icons, and are redrawn instead of cropped.
    start: how many batches to pass over, without reading them.
    workers: how many processes load ahead. The number does not change the batches.
    pin_memory: whether to pin the memory, so that a GPU can copy the parts while it computes.
    unique_names: put pictures that share a name into different batches if possible.
    rank, world: each rank reads a contiguous share of each batch. The sizes of the shares differ by
    at most one pair. Joined in the order of the ranks, the shares are the batch that one process
    would get. A share comes in parts, whose number is the same on every rank (see planned_parts).
    A part is empty only if so few pictures could be read that there are fewer pairs than parts.
    draw, crop: functions to use in place of `draw` and `crop` of this module.

    Raises UserError when there are no pairs, when a batch has fewer pairs than there are ranks, and
    when an argument is out of its range. Raises RuntimeError when a worker dies.
    """
    low, high = (1, 1) if scale is None else scale if len(scale) == 2 else (0, 0)
    indices = np.asarray(indices if hasattr(indices, "__array__") else [*indices])
    batch_size = min(batch_size, indices.size)
    are_pairs = indices.dtype.kind in "iu" and indices.size and indices.ndim == 1
    least = min(batch_size, image_size, world, 1 if micro_batch is None else micro_batch)
    refuse(
        {
            "there are no pairs to make batches from": not indices.size,
            f"indices must be a list of numbers of pairs, from 0 to {len(pairs) - 1}": not (
                are_pairs and 0 <= indices.min() and indices.max() < len(pairs)
            ),
            f"scale must be (low, high) with 0 < low <= high <= 1, or None, not {scale}": not (
                0 < low <= high <= 1
            ),
            "seed, start and workers must be at least 0": min(seed, start, workers) < 0,
            "batch_size, image_size, micro_batch and world must be at least 1": least < 1,
            f"rank must be from 0 to {world - 1}, not {rank}": not 0 <= rank < world,
            "a process of multiprocessing.Pool can start no loading processes; give workers=0 (on a "
            "command line: --workers 0)": workers and multiprocessing.current_process().daemon,
            f"a batch of {batch_size} pairs cannot be shared by {world} processes; each needs at "
            "least one pair": batch_size < world,
        }
    )
    count = planned_parts(batch_size, micro_batch or UNIT, world)
    largest = -(-(-(-batch_size // world)) // count)  # the pairs in a part of the largest share
    slots = count + workers * AHEAD
    shape = (slots, largest, 3, image_size, image_size)
    # On Linux this is not torch's shared memory, because that lies in /dev/shm, which often has
    # only 64 MB in a container. On other systems torch moves the tensor there when it starts a
    # worker.
    pixels = torch.frombuffer(mmap.mmap(-1, math.prod(shape)), dtype=torch.uint8).view(shape)

    def in_order():
        """Yield (epoch, indices, slot) of each part of this rank, beginning at batch `start`."""
        epoch, first = divmod(start, len(indices) // batch_size)
        slot = itertools.cycle(range(slots))
        names = pairs.names if unique_names else None
        while True:
            for batch in epoch_order(indices, batch_size, seed, epoch, pairs.order, names)[first:]:
                for part in np.array_split(np.array_split(batch, world)[rank], count):
                    yield epoch, part, next(slot)
            epoch, first = epoch + 1, 0

    # its first call fills its caches: once, before workers are forked
    ids = tokenizer(["", ""], trim=True)
    refuse(
        {
            "the tokenizer must return an int64 tensor with a row for each text": not (
                torch.is_tensor(ids) and ids.dtype == torch.long and ids.shape[:-1] == (2,)
            )
        }
    )
    loaded = iter(
        torch.utils.data.DataLoader(
            _Parts(pairs, tokenizer, seed, scale, pixels, draw, crop),
            batch_size=None,
            sampler=in_order(),
            num_workers=workers,
            prefetch_factor=AHEAD if workers else None,
            collate_fn=tuple,  # the default would turn the arrays into tensors
            generator=torch.Generator(),  # drawing from the default one would change the run
            worker_init_fn=_end_with_parent,
            # on other systems than Linux a worker starts as a new process
            multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
        )
    )
    if workers:
        # At its end the process would send each worker one SIGTERM and wait for the worker to end,
        # but workers ignore the first signal. So they are ended before that.
        atexit.register(_end_workers, weakref.ref(loaded))
    with contextlib.ExitStack() as pinned:
        if pin_memory:
            # a GPU copies pinned memory by itself; Tensor.pin_memory would take up to twice as much
            cuda, place = torch.cuda.cudart(), pixels.data_ptr()
            torch.cuda.check_error(cuda.cudaHostRegister(place, pixels.nbytes, 0))
            pinned.callback(cuda.cudaHostUnregister, place)
        while True:
            parts, skipped = [], []
            for slot, n, tokens, bad in itertools.islice(loaded, count):
                tokens = torch.from_numpy(tokens)
                parts.append((pixels[slot, :n], tokens.pin_memory() if pin_memory else tokens))
                skipped += bad
            if not all(len(images) for images, _ in parts):  # divide what is left again
                parts = list(zip(*(side.tensor_split(count) for side in join(parts))))
            yield Batch(parts, skipped)
