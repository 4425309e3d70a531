"""Changed crops (ConVIRT's) and redrawn icons: nothing changes unless asked, and each number does
what its name says. Then the sentences of a caption, of which ConVIRT takes one."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lessons.studies import convirt
from lessons.studies.convirt import Augmentation, augment, draw, sentences
from miniclip.data.dataset import Pairs, one_line
from miniclip.data.icons.icons import Icons
from miniclip.data.loader import crop
from miniclip.data.transforms import Preprocess, normalize, random_redrawing, redraw
from tests.data.icons import made_up, small_pairs
from tests.data.tars import noise, same, steps

SAID = ("a red circle. is it small? 3.5 cm!", "blue.")
seeds = st.integers(0, 2**32)
tenths = st.floats(-0.1, 0.1)


def levels(image, **how):
    """The pixels of an image, augmented: (H, W, 3) int."""
    return np.asarray(augment(image, Augmentation(**how))).astype(int)


def icon(seed):
    """A random picture of a few dark bars on white, 64 x 64, mode L."""
    rng = np.random.default_rng(seed)
    pixels = np.full((64, 64), 255, np.uint8)
    for _ in range(5):
        x, y, w, h = rng.integers(2, 50, 4)
        pixels[y : y + h // 4 + 1, x : x + w // 3 + 1] = rng.integers(0, 200)
    return Image.fromarray(pixels)


def drawn(image, side=64, **how):
    """One plane of redraw: (side, side) int."""
    planes = redraw(image, side, **how).numpy().astype(int)
    assert planes.shape == (3, side, side) and (planes == planes[0]).all()
    return planes[0]


def ink(image):
    return (255 - image) / 255


def middle(image):
    """The centre of the ink: (x, y) in pixels."""
    y, x = np.mgrid[: len(image), : len(image)] + 0.5
    return np.array([(ink(image) * x).sum(), (ink(image) * y).sum()]) / ink(image).sum()


# --- what is drawn


def random_augmentation(rng):
    return Augmentation.draw(rng)._asdict()


SHIFTS = {random_augmentation: 0.1, random_redrawing: 0.075}
RANGES = {  # field: (low, high)
    random_augmentation: dict(
        turn=(-math.pi / 9, math.pi / 9), size=(0.95, 1.05), brightness=(0.6, 1.4), contrast=(0.6, 1.4),
        sigma=(0.1, 3.0),
    ),
    random_redrawing: dict(turn=(-0.1, 0.1), size=(0.8, 1.15), ink=(0.0, 0.8)),
}  # fmt: skip


@pytest.mark.parametrize("draws", RANGES)
def test_draws_use_their_ranges_in_full_and_come_from_the_generator_alone(draws):
    many = [draws(np.random.default_rng(seed)) for seed in range(2000)]
    assert many[7] == draws(np.random.default_rng(7)) != many[8]
    columns = {name: [how[name] for how in many] for name in RANGES[draws]}
    columns |= {axis: [how["shift"][axis] for how in many] for axis in (0, 1)}
    for name, values in columns.items():
        low, high = RANGES[draws].get(name, (-SHIFTS[draws], SHIFTS[draws]))
        off = (np.array(values) - low) / (high - low)
        assert 0 <= off.min() < 0.02 and 0.98 < off.max() <= 1, (name, off.min(), off.max())
    share, rare = (0.3, "ink") if draws is random_redrawing else (0.5, "flip")
    often = np.mean([bool(how[rare]) for how in many])
    assert abs(often - share) < 5 * (0.25 / 2000) ** 0.5, often  # 5 standard deviations


@given(seeds)
def test_a_crop_is_changed_as_the_draw_says_and_a_white_one_stays_one_grey(seed):
    how = Augmentation.draw(np.random.default_rng(seed))
    found = convirt.crop(Twelve(), 3, np.random.default_rng(seed), 16, (0.6, 1.0))
    rng = np.random.default_rng(seed)
    Augmentation.draw(rng)
    plain = crop(Twelve(), 3, rng, 16, (0.6, 1.0)).permute(1, 2, 0).numpy()
    want = levels(Image.fromarray(plain), **how._asdict())
    assert np.array_equal(found.permute(1, 2, 0), want)
    grey = levels(Image.new("RGB", (16, 16), "white"), **how._asdict())
    want = min(255, 255 * how.brightness)
    assert grey.min() == grey.max() and abs(grey[0, 0, 0] - want) <= 1, (grey, how)


@given(st.floats(-0.3, 0.3), st.floats(0.9, 1.1), tenths)
def test_turn_size_and_shift_are_those_of_a_redrawn_icon(turn, size, shift):
    image, where = noise(24, 24).convert("L"), dict(turn=turn, size=size, shift=(shift, -shift))
    redrawn = redraw(image, 24, **where).permute(1, 2, 0)
    assert np.array_equal(levels(image.convert("RGB"), **where), redrawn)


# --- icons


@pytest.mark.parametrize("side", [32, 48, 64])
def test_an_icon_that_is_not_changed_is_what_evaluation_sees_to_the_bit(side):
    pairs = small_pairs()
    for i in range(len(pairs)):
        trained = redraw(pairs.load_downscaled(i, None), side)
        assert torch.equal(normalize(trained), Preprocess(side)(pairs.image(i))), pairs.names(i)
    assert np.array_equal(drawn(icon(0)), np.asarray(icon(0)))


@given(seeds, st.floats(-3, 3), st.floats(0.3, 2), st.floats(-0.3, 0.3), st.floats(-0.3, 0.3))
def test_what_is_uncovered_is_white_and_nothing_gets_darker_than_the_darkest(
    seed, turn, size, x, y
):
    white, image = Image.new("L", (64, 64), 255), icon(seed)
    assert drawn(white, turn=turn, size=size, shift=(x, y), ink=0.5).min() == 255
    assert drawn(image, turn=turn, size=size, shift=(x, y)).min() >= np.asarray(image).min()
    assert drawn(image, shift=(1.0, 0.0)).min() == drawn(image, shift=(0.0, -1.0)).min() == 255


@given(seeds, st.floats(0.1, 1))
def test_thickening_moves_by_its_share_to_the_darkest_of_nine_pixels(seed, thick):
    thin, more, most = (drawn(icon(seed), 32, ink=k) for k in (0.0, thick, 1.0))
    around = np.pad(thin, 1, constant_values=255)
    darkest = np.min([around[y : y + 32, x : x + 32] for y in range(3) for x in range(3)], axis=0)
    assert np.array_equal(most[1:-1, 1:-1], darkest[1:-1, 1:-1])
    assert np.abs(more - (thin + thick * (most - thin))).max() <= 1  # rounded to whole levels


@given(seeds, st.integers(-9, 9), st.integers(-9, 9), st.integers(-3, 3))
def test_a_shift_goes_to_the_right_and_down_and_a_quarter_turn_is_exact(seed, x, y, quarters):
    image = icon(seed)
    moved = Image.new("L", (64, 64), 255)
    moved.paste(image, (x, y))
    assert np.array_equal(drawn(image, shift=(x / 64, y / 64)), moved)
    # rounding moves a sample by less than 1e-9 of a pixel, and so a level by one at most
    turned = np.rot90(np.asarray(image).astype(int), -quarters)
    assert np.abs(drawn(image, turn=quarters * math.pi / 2) - turned).max() <= 1


@given(st.floats(-1, 1), st.floats(0.6, 1.0), tenths, tenths)
def test_any_turn_is_clockwise_about_the_middle_which_then_moves_by_the_shift(turn, size, x, y):
    """A dot at the right of the middle of a picture that is wider than high."""
    wide = np.full((60, 80), 255, np.uint8)
    wide[28:32, 58:62] = 0
    planes = redraw(Image.fromarray(wide), 480, turn, size, (x, y))
    found = middle(planes[0].numpy().astype(int)) / (6, 8)  # in pixels of the picture again
    right, down = 20 * size * math.cos(turn), 20 * size * math.sin(turn)
    want = np.array([40 + right + 80 * x, 30 + down + 60 * y])
    assert np.abs(found - want).max() < 0.5, (found, want)


def test_the_loader_redraws_icons_and_writes_them_where_they_are_wanted():
    pairs, out = (
        Icons(drawn=made_up([[("remix", "home", "")]] * 3)),
        np.zeros((3, 32, 32), np.uint8),
    )
    found = crop(pairs, 1, np.random.default_rng(1), 32, None)
    how = random_redrawing(np.random.default_rng(1))
    assert torch.equal(found, redraw(pairs.load_downscaled(1, None), 32, **how))
    crop(pairs, 1, np.random.default_rng(1), 32, None, out)
    assert np.array_equal(out, found) and out.std() > 5


# --- the sentences


class Twelve(Pairs):
    """Pictures of noise, each with a caption."""

    def __init__(self, said=SAID):
        super().__init__("twelve", [(said[i % 2],) for i in range(12)], {"train": list(range(12))})

    def image(self, i):
        return noise(20, 20, i)


@given(st.lists(st.sampled_from([*"ab .!?3\n", ". ", "! ", "\u3002"])).map("".join).map(one_line))
def test_the_sentences_are_the_caption_and_none_has_two(caption):
    own = sentences(caption)
    assert " ".join(own) == caption and (all(own) or not caption)
    assert not any(mark + " " in sentence for sentence in own for mark in ".!?")
    assert sentences(SAID[0]) == ["a red circle.", "is it small?", "3.5 cm!"]


def test_draws_depend_on_seed_epoch_and_index_alone():
    how = dict(draw=draw, crop=convirt.crop)
    whole = steps(Twelve(), 6, 6, **how)
    assert same(steps(Twelve(), 3, 6, start=3, workers=2, **how), whole[3:])
    images = {x.numpy().tobytes() for parts, _ in whole for part, _ in parts for x in part}
    assert len(images) == 36  # three epochs of twelve: no picture twice
    rng, _ = draw(Twelve(), 3, 0, 1)
    alone = convirt.crop(Twelve(), 3, rng, 8, (0.6, 1.0))
    assert alone.numpy().tobytes() in images
