"""Shards, and how the ranks of a run share what is read."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from miniclip.data.batches import batches
from miniclip.data.pairs import BadPicture, Pairs


class Coloured(Pairs):
    """n pictures of which each is one colour and says its index; those in `bad` cannot be read."""

    def __init__(self, n, bad=()):
        super().__init__("coloured", [[str(i)] for i in range(n)], {"train": list(range(n))})
        self.bad = bad

    def image(self, i):
        if i in self.bad:
            raise BadPicture("damaged")
        return Image.new("RGB", (4, 4), (i % 256, i // 256, 7))


@given(st.integers(1, 40), st.integers(1, 16), st.integers(1, 5), st.integers(0, 3))
def test_the_ranks_batches_in_order_are_the_batch_of_one_process(n, batch_size, world, start):
    pairs = Coloured(n, bad=(0, 3))
    world = min(world, batch_size, n)

    def read(rank, world):
        return list(batches(pairs, range(n), batch_size, 5, 1, 4, (1, 1), start, 0, rank, world))

    parts = [read(rank, world) for rank in range(world)]
    for k, (images, captions, skipped) in enumerate(read(0, 1)):
        assert torch.equal(torch.cat([part[k][0] for part in parts]), images)
        assert sum((part[k][1] for part in parts), []) == captions
        assert sum((part[k][2] for part in parts), []) == skipped
        sizes = [len(part[k][1]) + len(part[k][2]) for part in parts]
        assert max(sizes) - min(sizes) <= 1, sizes


def test_a_batch_smaller_than_the_world_is_refused():
    with pytest.raises(ValueError, match="3 pairs cannot be shared by 4"):
        list(batches(Coloured(3), range(3), 8, 0, 0, 4, (1, 1), rank=3, world=4))


def test_a_batch_of_which_nothing_can_be_read_is_empty_and_named():
    (batch,) = batches(Coloured(2, bad=(0, 1)), np.arange(2), 2, 0, 0, 4, (1, 1))
    assert batch[0].shape == (0, 3, 4, 4) and batch[1] == []
    assert sorted(batch[2]) == [("0", "damaged"), ("1", "damaged")]
