"""Batches are a function of (seed, epoch, index): nothing else can change what is learned."""

import os

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from miniclip.data.batches import batches, epoch_order, visit
from miniclip.data.pairs import BadPicture, Pairs

SIZE, SCALE = 8, (0.6, 1.0)


class Noise(Pairs):
    """Pictures of noise, some of them broken; counts how many it was asked for."""

    def __init__(self, count=23, broken=(), deadly=()):
        captions = [(f"picture {i}", f"image {i}", f"{i}") for i in range(count)]
        super().__init__("noise", captions, {"train": list(range(count))})
        self.broken, self.deadly, self.read = broken, deadly, 0

    def image(self, i):
        self.read += 1
        if i in self.broken:
            raise BadPicture("damaged")
        if i in self.deadly:
            os._exit(3)
        pixels = np.random.default_rng(i).integers(0, 256, (12, 15, 3)).astype(np.uint8)
        return Image.fromarray(pixels)


def epoch(pairs, batch_size=4, seed=0, number=0, **how):
    return list(batches(pairs, pairs.splits["train"], batch_size, seed, number, SIZE, SCALE, **how))


def same(left, right):
    return len(left) == len(right) and all(
        torch.equal(a[0], b[0]) and a[1:] == b[1:] for a, b in zip(left, right)
    )


@given(st.integers(0, 2**40), st.integers(0, 1000), st.integers(1, 30))
def test_an_epoch_is_a_permutation_without_its_ragged_end(seed, number, batch_size):
    order = epoch_order(range(100, 123), batch_size, seed, number)
    visited = np.asarray(order).ravel().tolist()
    assert len(set(visited)) == len(visited) and set(visited) <= set(range(100, 123))
    assert len(visited) == (23 // batch_size * batch_size or 23)  # a small split is one batch


def test_epochs_and_seeds_differ_and_the_same_is_the_same():
    pairs = Noise()
    assert same(epoch(pairs), epoch(pairs))
    for seed, number in ((1, 0), (0, 1)):
        other = epoch(pairs, seed=seed, number=number)
        assert not torch.equal(
            torch.cat([b[0] for b in other]), torch.cat([b[0] for b in epoch(pairs)])
        )


def test_images_are_normalised_floats_with_one_caption_each():
    for images, captions, skipped in epoch(Noise()):
        assert images.shape == (4, 3, SIZE, SIZE) and images.dtype == torch.float32
        assert len(captions) == 4 and skipped == [] and images.std() > 0.1


@given(st.integers(0, 5), st.integers(1, 12), st.integers(0, 99))
def test_a_visit_does_not_depend_on_the_batch_it_is_in(number, batch_size, seed):
    pairs = Noise()
    alone = {}
    for i in range(len(pairs)):
        image, caption = visit(pairs, i, seed, number, SIZE, SCALE)
        alone[caption.split()[-1]] = image, caption
    for images, captions, _ in epoch(pairs, batch_size, seed, number):
        for image, caption in zip(images, captions):
            assert torch.equal(image, alone[caption.split()[-1]][0])
            assert caption == alone[caption.split()[-1]][1]


@given(st.integers(0, 7), st.integers(0, 99))
def test_start_is_the_same_as_skipping_but_reads_nothing(start, seed):
    pairs = Noise()
    whole = epoch(pairs, 3, seed)
    pairs.read = 0
    assert same(epoch(pairs, 3, seed, start=start), whole[start:])
    assert pairs.read == 3 * (7 - start)


@pytest.mark.parametrize("start", [0, 3, 5])
def test_workers_yield_the_same_and_leave_torchs_generator_alone(start):
    pairs = Noise(broken=(5, 6))
    torch.manual_seed(7)
    alone, state = epoch(pairs, start=start), torch.get_rng_state()
    helped = epoch(pairs, start=start, workers=2)
    assert same(alone, helped) and len(alone) == 5 - start
    assert torch.equal(state, torch.get_rng_state())


def test_a_workers_death_is_an_error():
    with pytest.raises(RuntimeError, match="worker"):
        epoch(Noise(deadly=range(23)), workers=1)


def test_broken_pictures_are_left_out_and_named():
    got = epoch(Noise(broken=(3, 17)), batch_size=23)[0]
    assert len(got[0]) == len(got[1]) == 21
    assert sorted(got[2]) == [("picture 17", "damaged"), ("picture 3", "damaged")]


def test_no_pairs_are_an_error():
    with pytest.raises(ValueError, match="no pairs"):
        next(batches(Noise(), [], 4, 0, 0, SIZE, SCALE))
