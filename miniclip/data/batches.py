"""Pairs to batches: an epoch is a permutation, and every visit is a function of where it stands.

Order, crop and caption come from (seed, epoch, index) and nothing else. So an interrupted run starts
again at any batch without having kept a state, and worker processes cannot change what is learned.
Left out: flips and colours, which captions speak of ("facing right", "red").
"""

import numpy as np
import torch

from miniclip.data.pairs import BadPicture
from miniclip.preprocess import training_crop


def epoch_order(indices, batch_size, seed, epoch):
    """The batches of one epoch: list of lists of indices, the ragged last one dropped.

    A split smaller than a batch is one batch. Raises ValueError when there is nothing to visit.
    """
    if not len(indices):
        raise ValueError("there are no pairs to make batches from")
    shuffled = np.random.default_rng((seed, epoch)).permutation(np.asarray(indices)).tolist()
    size = min(batch_size, len(shuffled))
    return [shuffled[k : k + size] for k in range(0, len(shuffled) - size + 1, size)]


def visit(pairs, i, seed, epoch, image_size, scale):
    """One pair as it is seen this time: ((3, S, S) float32, caption). Raises BadPicture."""
    rng = np.random.default_rng((seed, epoch, i))
    caption = pairs.caption(i, rng)
    return training_crop(pairs.image(i), image_size, rng, scale), caption


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
        for i in self.order[k]:
            try:
                image, caption = visit(self.pairs, i, *self.how)
            except BadPicture as error:
                skipped.append((self.pairs.where(i), str(error)))
                continue
            images.append(image)
            captions.append(caption)
        return torch.stack(images) if images else torch.empty(0), captions, skipped


def batches(pairs, indices, batch_size, seed, epoch, image_size, scale, start=0, workers=0):
    """Iterate over one epoch of pairs[indices]: (images (N, 3, S, S) float32, N captions, skipped).

    scale: (low, high) of training_crop. start: how many batches to leave out, without reading them.
    workers: processes that load ahead; what they yield is the same. skipped: [(name, reason)] of
    the pictures of this batch that could not be read. Raises ValueError when a whole batch cannot
    be, RuntimeError when a worker dies.
    """
    order = epoch_order(indices, batch_size, seed, epoch)[start:]
    loaded = _Batches(pairs, order, seed, epoch, image_size, scale)
    if workers and order:
        # a generator of its own: DataLoader would draw from torch's, and so change the run
        loaded = torch.utils.data.DataLoader(
            loaded,
            batch_size=None,
            num_workers=workers,
            prefetch_factor=4,
            generator=torch.Generator(),
        )
    for images, captions, skipped in loaded:
        if not captions:
            raise ValueError(
                f"no picture of a batch can be read; the first, {': '.join(skipped[0])}"
            )
        yield images, captions, skipped
