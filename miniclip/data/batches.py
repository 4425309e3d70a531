"""Pairs to batches: an epoch is a permutation, and every visit is a function of where it stands.

Order, crop and caption come from (seed, epoch, index) and nothing else. So an interrupted run starts
again at any batch without having kept a state, and worker processes cannot change what is learned.
Left out: flips and colours, which captions speak of ("facing right", "red").
"""

import math

import numpy as np
import torch

from miniclip.common import UserError
from miniclip.data.pairs import BadPicture, shuffled
from miniclip.preprocess import training_crop


def epoch_order(indices, batch_size, seed, epoch, order=shuffled):
    """The batches of one epoch: (batches, batch_size) int64, the ragged last one dropped.

    A split smaller than a batch is one batch. order: how to permute, Pairs.order where some
    orders read faster than others. Raises UserError when there is nothing to visit.
    """
    if not len(indices):
        raise UserError("there are no pairs to make batches from")
    visits = order(indices, seed, epoch)
    size = min(batch_size, len(visits))
    return visits[: len(visits) // size * size].reshape(-1, size)


def visit(pairs, i, seed, epoch, image_size, scale):
    """One pair as it is seen this time: ((3, S, S) float32, caption). Raises BadPicture."""
    rng = np.random.default_rng((seed, epoch, i))
    caption = pairs.caption(i, rng)
    enough = math.ceil(2 * image_size / scale[0])  # twice what the smallest crop keeps
    return training_crop(pairs.draft(i, enough), image_size, rng, scale), caption


class _Batches(torch.utils.data.Dataset):
    """The batches of an epoch, by number; what a worker process holds."""

    def __init__(self, pairs, order, *how):
        self.pairs, self.order, self.how = pairs, order, how

    def __len__(self):
        return len(self.order)

    def __iter__(self):
        return (self[k] for k in range(len(self)))

    def __getitem__(self, k):
        images, captions, skipped = [], [], []
        for i in self.order[k].tolist():
            try:
                image, caption = visit(self.pairs, i, *self.how)
            except BadPicture as error:
                skipped.append((self.pairs.where(i), str(error)))
                continue
            images.append(image)
            captions.append(caption)
        size = self.how[2]
        return torch.stack(images) if images else torch.empty(0, 3, size, size), captions, skipped


def _as_it_is(batch):
    """What DataLoader does to a batch of ours: by itself it would turn the tuples into lists."""
    return batch


def batches(pairs, indices, batch_size, seed, epoch, image_size, scale, start=0, workers=0,
            rank=0, world=1):  # fmt: skip
    """Iterate over one epoch of pairs[indices]: (images (N, 3, S, S) float32, N captions, skipped).

    batch_size: of all ranks together. rank, world: of each batch the contiguous part that rank
    reads; their sizes differ by one at most, and all together in order are the batch of world 1.
    scale: (low, high) of training_crop. start: how many batches to leave out, without reading them.
    workers: processes that load ahead; what they yield is the same. skipped: [(name, reason)] of
    the pictures that could not be read; when none could be, N is 0 and the caller goes on. Raises
    ValueError when there is nothing to visit or a batch has fewer pairs than there are ranks,
    RuntimeError when a worker dies.
    """
    order = epoch_order(indices, batch_size, seed, epoch, pairs.order)[start:]
    if order.shape[1] < world:
        raise UserError(f"a batch of {order.shape[1]} pairs cannot be shared by {world} processes")
    order = np.array_split(order, world, axis=1)[rank]
    loaded = _Batches(pairs, order, seed, epoch, image_size, scale)
    if workers and len(order):
        # a generator of its own: DataLoader would draw from torch's, and so change the run
        loaded = torch.utils.data.DataLoader(
            loaded,
            batch_size=None,
            num_workers=workers,
            prefetch_factor=4,
            collate_fn=_as_it_is,
            generator=torch.Generator(),
        )
    yield from loaded
