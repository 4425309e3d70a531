"""ConVIRT's two switches in the data: --augment convirt and --one-sentence."""

import contextlib
import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from miniclip.data.dataset import Pairs, one_line, sentences
from miniclip.data.loader import batches, crop, draw
from miniclip.data.transforms import Augmentation, Redrawing, augment, redraw, training_crop
from tests.data.tars import letters

SAID = ("a red circle. is it small? 3.5 cm!", "blue.")
RANGES = dict(turn=math.pi / 9, size=0.05, x=0.1, y=0.1, brightness=0.4, contrast=0.4, sigma=1.45)
MIDDLES = dict(turn=0, size=1, x=0, y=0, brightness=1, contrast=1, sigma=1.55)
seeds = st.integers(0, 2**40)


def noise(side, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def levels(image, **how):
    """The pixels of an image, changed: (H, W, 3) int."""
    return np.asarray(augment(image, Augmentation(**how))).astype(int)


class Twelve(Pairs):
    """Pictures of noise, each with a caption."""

    def __init__(self, said=SAID):
        super().__init__("twelve", [(said[i % 2],) for i in range(12)], {"train": list(range(12))})

    def image(self, i):
        return noise(20, i)


def steps(pairs, count, start=0, workers=0, **how):
    """The parts of the first batches of a run from `start` on, two batches an epoch."""
    more = dict(start=start, micro_batch=4, workers=workers)
    with contextlib.closing(
        batches(pairs, range(12), letters, 6, 0, 8, (0.6, 1.0), **more, **how)
    ) as loaded:
        found = itertools.islice(loaded, count)
        return [[(x.clone(), tokens) for x, tokens in parts] for parts, _ in found]


def same(left, right):
    pairs = zip(itertools.chain(*itertools.chain(*left)), itertools.chain(*itertools.chain(*right)))
    return len(left) == len(right) and all(itertools.starmap(torch.equal, pairs))


# --- the augmentation


def test_the_draws_use_their_ranges_in_full_and_half_are_mirrored():
    rng = np.random.default_rng(0)
    many = [Augmentation.draw(rng) for _ in range(2000)]
    flips = np.mean([how.flip for how in many])
    assert abs(flips - 0.5) < 5 * (0.25 / 2000) ** 0.5, flips  # 5 standard deviations
    for name, half in RANGES.items():
        values = [h.shift["xy".index(name)] if name in "xy" else getattr(h, name) for h in many]
        off = (np.array(values) - MIDDLES[name]) / half
        assert -1 <= off.min() < -0.98 and 0.98 < off.max() <= 1, (name, off.min(), off.max())


@given(seeds)
def test_a_draw_comes_from_the_generator_alone_and_changes_the_crop(seed):
    how, again = (Augmentation.draw(np.random.default_rng(seed)) for _ in range(2))
    assert how == again != Augmentation.draw(np.random.default_rng(seed + 1))
    square = training_crop(noise(16), 16, np.random.default_rng(0), how=how).permute(1, 2, 0)
    assert np.array_equal(square, levels(noise(16), **how._asdict()))


def test_nothing_changes_unless_asked_and_a_mirror_image_is_one():
    image = noise(24)
    assert np.array_equal(levels(image), image)
    assert np.array_equal(levels(image, flip=True), np.asarray(image)[:, ::-1])


@given(st.floats(-0.3, 0.3), st.floats(0.9, 1.1), st.floats(-0.1, 0.1))
def test_turn_size_and_shift_are_those_of_a_redrawn_icon(turn, size, shift):
    """Their laws are in tests/data/icons/test_redraw.py."""
    icon, where = noise(24).convert("L"), dict(turn=turn, size=size, shift=(shift, -shift))
    redrawn = redraw(icon, 24, Redrawing(**where)).permute(1, 2, 0)
    assert np.array_equal(levels(icon.convert("RGB"), **where), redrawn)


@given(st.integers(0, 255), st.floats(0.6, 1.4), st.floats(0.6, 1.4))
def test_brightness_scales_the_levels_and_contrast_their_distance_to_the_mean_grey(level, b, c):
    image = Image.new("RGB", (8, 8), (level, level, level))
    image.paste(Image.new("RGB", (4, 8)), (0, 0))  # its left half is black
    pixels = np.asarray(image).astype(float)
    assert abs(levels(image, brightness=b) - (pixels * b).clip(0, 255)).max() <= 1
    want = level / 2 + (pixels - level / 2) * c  # the mean is rounded, and the result cut
    assert abs(levels(image, contrast=c) - want.clip(0, 255)).max() <= 2


@given(seeds)
def test_a_white_picture_stays_one_grey_without_edges(seed):
    how = Augmentation.draw(np.random.default_rng(seed))
    grey = levels(Image.new("RGB", (16, 16), "white"), **how._asdict())
    want = min(255, 255 * how.brightness)
    assert grey.min() == grey.max() and abs(grey[0, 0, 0] - want) <= 1, (grey, how)


@pytest.mark.parametrize("side", [112, 224])
def test_the_blur_has_its_sigma_at_224_pixels_and_its_share_at_another_size(side):
    line = np.zeros((side, side, 3), np.uint8)
    line[:, side // 2] = 255
    blurred = levels(Image.fromarray(line), sigma=3.0)[0, :, 0]
    off = np.arange(side) - side // 2
    deviation = math.sqrt((blurred * off**2).sum() / blurred.sum())
    # levels below 1/2 are lost: of a Gaussian of 255 those more than 2.6 sigma away
    assert abs(deviation / (3 * side / 224) - 1) < 0.06, deviation


# --- the sentence


@given(st.lists(st.sampled_from([*"ab .!?3\n", ". ", "! ", "\u3002"])).map("".join).map(one_line))
def test_the_sentences_are_the_caption_and_none_has_two(caption):
    own = sentences(caption)
    assert " ".join(own) == caption and (all(own) or not caption)
    assert not any(mark + " " in sentence for sentence in own for mark in ".!?")


def test_what_a_sentence_is():
    assert sentences(SAID[0]) == ["a red circle.", "is it small?", "3.5 cm!"]
    assert sentences("wait ... no?! e.g.this") == ["wait ...", "no?!", "e.g.this"]
    assert sentences("St. Lucia") == ["St.", "Lucia"]  # an abbreviation is not known as one


def test_each_sentence_is_drawn_about_equally_often():
    drawn = [draw(Twelve(), 0, 0, epoch, True)[1] for epoch in range(900)]
    counts = [drawn.count(sentence) for sentence in sentences(SAID[0])]
    assert sum(counts) == 900
    assert max(abs(n - 300) for n in counts) < 5 * (900 * 2 / 9) ** 0.5, counts  # 5 deviations


def test_captions_of_one_sentence_train_to_the_bit_as_without_the_option():
    pairs = Twelve(["red 3.5 cm", "blue."])
    assert same(steps(pairs, 4), steps(pairs, 4, one_sentence=True))
    assert not same(steps(Twelve(), 4), steps(Twelve(), 4, one_sentence=True))


# --- both in the loader


def test_draws_depend_on_seed_epoch_and_index_alone():
    how = dict(one_sentence=True, augmented=True)
    whole = steps(Twelve(), 6, **how)
    assert same(steps(Twelve(), 3, start=3, workers=2, **how), whole[3:])
    images = {x.numpy().tobytes() for parts in whole for part, _ in parts for x in part}
    assert len(images) == 36  # three epochs of twelve: no picture twice
    rng, _ = draw(Twelve(), 3, 0, 1, True)
    alone = crop(Twelve(), 3, rng, 8, (0.6, 1.0), augmented=True)
    assert alone.numpy().tobytes() in images
