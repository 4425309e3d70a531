"""Redrawing an icon: nothing changes unless asked, and each number does what its name says."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from miniclip.data.icons.icons import Icons
from miniclip.data.loader import crop
from miniclip.data.transforms import Redrawing, evaluation, normalize, redraw
from tests.data.icons import fontawesome, made_up

seeds = st.integers(0, 2**32)


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
    planes = redraw(image, side, Redrawing(**how)).numpy().astype(int)
    assert planes.shape == (3, side, side)
    assert (planes == planes[0]).all()
    return planes[0]


def ink(image):
    return (255 - image) / 255


def middle(image):
    """The centre of the ink: (x, y) in pixels."""
    y, x = np.mgrid[: len(image), : len(image)] + 0.5
    return np.array([(ink(image) * x).sum(), (ink(image) * y).sum()]) / ink(image).sum()


@given(seeds, st.sampled_from([32, 48, 64]))
def test_without_a_change_training_sees_what_evaluation_sees_to_the_bit(seed, side):
    pairs = Icons(drawn=made_up([[("remix", "home", "")]] * 2, seed))
    seen = evaluation(side)(pairs.image(1))
    trained = redraw(pairs.load_downscaled(1, None), side, Redrawing())
    assert trained.dtype == torch.uint8 and torch.equal(normalize(trained), seen)


@pytest.mark.parametrize("side", [32, 48, 64])
def test_on_font_awesome_training_and_evaluation_agree_to_the_bit(side):
    captions, inks = zip(*fontawesome()[::9])
    owned = [[("fontawesome", *caption) for caption in own] for own in captions]
    pairs, see = Icons(drawn=(owned, np.stack(inks))), evaluation(side)
    for i in range(len(pairs)):
        trained = redraw(pairs.load_downscaled(i, None), side, Redrawing())
        assert torch.equal(normalize(trained), see(pairs.image(i))), owned[i]


@given(seeds)
def test_no_change_is_the_picture_itself(seed):
    image = icon(seed)
    assert np.array_equal(drawn(image), np.asarray(image))


@given(seeds, st.floats(-3, 3), st.floats(0.3, 2), st.floats(-0.3, 0.3), st.floats(-0.3, 0.3))
def test_what_is_uncovered_is_white_and_nothing_gets_darker_than_the_darkest(
    seed, turn, size, x, y
):
    white = Image.new("L", (64, 64), 255)
    assert drawn(white, turn=turn, size=size, shift=(x, y), ink=0.5).min() == 255
    image = icon(seed)
    changed = drawn(image, turn=turn, size=size, shift=(x, y))
    assert changed.min() >= np.asarray(image).min()
    assert drawn(image, shift=(1.0, 0.0)).min() == drawn(image, shift=(0.0, -1.0)).min() == 255


@given(seeds, st.floats(0.1, 1), st.floats(0, 1))
def test_thickening_lightens_nothing_and_more_of_it_is_darker(seed, thick, share):
    image = icon(seed)
    thin, less, more = (drawn(image, 32, ink=k) for k in (0.0, thick * share, thick))
    assert (less <= thin).all() and (more <= less + 1).all()  # blend rounds to whole levels
    around = np.pad(thin, 1, constant_values=255)  # the darkest of nine pixels, inside the edge
    darkest = np.min([around[y : y + 32, x : x + 32] for y in range(3) for x in range(3)], axis=0)
    all_of_it = drawn(image, 32, ink=1.0)
    assert np.array_equal(all_of_it[1:-1, 1:-1], darkest[1:-1, 1:-1])
    lost = ink(all_of_it).sum() - ink(thin).sum()
    assert abs(ink(more).sum() - ink(thin).sum() - thick * lost) < 32 * 32 / 255


@given(seeds, st.integers(-9, 9), st.integers(-9, 9))
def test_a_shift_by_whole_pixels_moves_the_picture_to_the_right_and_down(seed, x, y):
    image = icon(seed)
    want = np.full((64, 64), 255, int)
    rows, columns = slice(max(y, 0), 64 + min(y, 0)), slice(max(x, 0), 64 + min(x, 0))
    back = slice(max(-y, 0), 64 + min(-y, 0)), slice(max(-x, 0), 64 + min(-x, 0))
    want[rows, columns] = np.asarray(image)[back]
    assert np.array_equal(drawn(image, shift=(x / 64, y / 64)), want)


@given(seeds, st.integers(-3, 3))
def test_a_quarter_turn_is_exact_and_leaves_the_middle_where_it_is(seed, quarters):
    image = icon(seed)
    turned = drawn(image, turn=quarters * math.pi / 2)
    # rounding moves a sample by less than 1e-9 of a pixel, and so a level by one at most
    assert np.abs(turned - np.rot90(np.asarray(image).astype(int), -quarters)).max() <= 1


@given(st.floats(-1, 1), st.floats(0.6, 1.0), st.floats(-0.1, 0.1), st.floats(-0.1, 0.1))
def test_any_turn_is_clockwise_about_the_middle_which_then_moves_by_the_shift(turn, size, x, y):
    """A dot at the right of the middle of a picture that is wider than high."""
    wide = np.full((60, 80), 255, np.uint8)
    wide[28:32, 58:62] = 0
    planes = redraw(Image.fromarray(wide), 480, Redrawing(turn, size, (x, y)))
    found = middle(planes[0].numpy().astype(int)) / (6, 8)  # in pixels of the picture again
    right, down = 20 * size * math.cos(turn), 20 * size * math.sin(turn)
    want = np.array([40 + right + 80 * x, 30 + down + 60 * y])
    assert np.abs(found - want).max() < 0.5, (found, want)


@given(st.integers(0, 3), st.floats(0.5, 1.0), st.floats(-0.1, 0.1), st.floats(-0.1, 0.1))
def test_size_scales_lengths_about_the_shifted_middle_whatever_the_turn(quarters, size, x, y):
    square = np.full((64, 64), 255, np.uint8)
    square[20:36, 24:48] = 0
    changed = drawn(Image.fromarray(square), turn=quarters * math.pi / 2, size=size, shift=(x, y))
    square = np.rot90(square, -quarters)
    area = ink(changed).sum() / ink(square).sum()
    assert abs(area - size**2) < 0.12, (area, size**2)  # an edge is off by 1/2 pixel at most
    want = 32 + (middle(square) - 32) * size + 64 * np.array([x, y])
    assert np.abs(middle(changed) - want).max() < 0.5


@given(seeds)
def test_another_drawing_stays_within_its_ranges_and_comes_from_the_generator_alone(seed):
    how, again = (Redrawing.draw(np.random.default_rng(seed)) for _ in range(2))
    assert how == again != Redrawing.draw(np.random.default_rng(seed + 1))
    assert abs(how.turn) <= 0.1 and 0.8 <= how.size <= 1.15 and 0 <= how.ink <= 0.8
    assert max(map(abs, how.shift)) <= 0.075


def test_the_ranges_are_used_in_full_and_three_in_ten_are_thickened():
    rng = np.random.default_rng(0)
    many = [Redrawing.draw(rng) for _ in range(4000)]
    # 5 standard deviations of a share of .3 in 4,000 draws
    assert abs(np.mean([how.ink > 0 for how in many]) - 0.3) < 5 * (0.21 / 4000) ** 0.5
    columns = [(h.turn, h.size, *h.shift) for h in many] + []
    for values, (low, high) in zip(
        [*zip(*columns), [h.ink for h in many if h.ink]],
        [(-0.1, 0.1), (0.8, 1.15), (-0.075, 0.075), (-0.075, 0.075), (0, 0.8)],
    ):
        assert low <= min(values) < low + 0.02 * (high - low)
        assert high >= max(values) > high - 0.02 * (high - low)


def test_it_is_written_where_it_is_wanted():
    out = np.zeros((3, 32, 32), np.uint8)
    image, how = icon(3), Redrawing(0.05, 0.9, (0.02, -0.03), 0.4)
    assert redraw(image, 32, how, out) is out
    assert np.array_equal(out, redraw(image, 32, how).numpy()) and out.std() > 5


def test_the_loader_redraws_icons_and_draws_the_same_again():
    pairs = Icons(drawn=made_up([[("remix", "home", "")]] * 3))
    first, again, other = (
        crop(pairs, 1, np.random.default_rng(seed), 32, None) for seed in (1, 1, 2)
    )
    assert first.shape == (3, 32, 32) and torch.equal(first, again)
    assert not torch.equal(first, other)
    how = Redrawing.draw(np.random.default_rng(1))
    assert torch.equal(first, redraw(pairs.load_downscaled(1, None), 32, how))
