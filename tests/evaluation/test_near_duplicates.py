"""Synthetic near-duplicates are found, clean pictures are not; each step does what it says."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lessons.drawings.copies import CHANGES
from miniclip.data import open_pairs
from miniclip.data.emoji.names import without_tone
from miniclip.evaluation import near_duplicates
from miniclip.evaluation.features import picture_source
from miniclip.evaluation.near_duplicates import (
    THRESHOLD,
    base_emoji,
    thumbnails,
)

duplicates_of = near_duplicates.near_duplicates


@pytest.fixture(scope="module")
def pairs():
    return open_pairs()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_of_100_synthetic_duplicates_95_are_found_with_5_false_positives_among_1000(pairs, seed):
    """A clean picture has another base emoji than every known one, and an RMSE above .05 from it."""
    rng, by_base = np.random.default_rng(seed), {}
    for i in range(len(pairs)):
        by_base.setdefault(base_emoji(without_tone(pairs.captions(i)[0])), []).append(i)
    bases, apart = sorted(by_base), []
    rng.shuffle(bases)
    while len(apart) < 1600:
        apart += by_base[bases.pop()]
    known, kept = thumbnails(pairs, [i for base in bases for i in by_base[base]])
    others, _ = thumbnails(pairs, apart)
    rmse = torch.cdist(others.flatten(1), known.flatten(1)) / known[0].numel() ** 0.5
    clean = others[rmse.min(1).values > 0.05][:1000]
    originals = rng.choice(len(kept), 100, replace=False)
    changed = [CHANGES[k % 4](pairs.image(kept[j]), rng) for k, j in enumerate(originals)]
    changed, _ = thumbnails(picture_source(changed), range(100))
    found, false = ((duplicates_of(x, known)[0] <= THRESHOLD).sum() for x in (changed, clean))
    assert len(clean) == 1000 and found >= 95 and false <= 5, (found, false)


@pytest.mark.parametrize("change", CHANGES)
def test_the_duplicate_it_names_is_the_one_that_was_changed(pairs, change):
    rng = np.random.default_rng(0)
    names = ["sushi", "owl", "castle", "guitar", "bicycle", "carrot"]
    indices = [i for i in range(len(pairs)) if pairs.captions(i)[0] in names]
    known, _ = thumbnails(pairs, indices)
    changed = picture_source([change(pairs.image(i), rng) for i in indices])
    distance, position = duplicates_of(thumbnails(changed, range(len(indices)))[0], known)
    assert position.tolist() == list(range(len(indices)))
    assert (distance <= THRESHOLD).sum() >= len(indices) - 1, distance  # its recall is .98, not 1


def test_a_picture_is_its_own_duplicate_and_a_blank_one_has_none():
    known = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert duplicates_of(known, known)[0].max() < 1e-3
    assert duplicates_of(torch.ones(1, 3, 64, 64), known)[0] > THRESHOLD
    distance, position = duplicates_of(known, known[:0])
    assert distance.tolist() == [torch.inf] * 4 and position.tolist() == [0] * 4
    assert [len(found) for found in duplicates_of(known[:0], known)] == [0, 0]


def test_a_channel_that_is_constant_in_both_pictures_does_not_count():
    circle = (torch.arange(64.0) - 30).square()
    inside = circle[:, None] + circle < 400
    for colour in ([1, 0, 0], [0, 0, 1], [1, 1, 0], [0, 1, 1], [0.3, 0.6, 0.1]):
        picture = torch.where(inside, torch.tensor(colour)[:, None, None], torch.tensor(1.0))[None]
        found = duplicates_of(picture, torch.cat([picture.flip(3).roll(20, 3), picture]))
        assert found[0] <= THRESHOLD and found[1] == 1, colour
        assert duplicates_of(picture, picture.roll(20, 3))[0] > THRESHOLD


def smooth(n, seed=0):
    """n random pictures, (n, 3, 64, 64), without fine detail."""
    coarse = torch.rand(n, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(coarse, size=(64, 64), mode="bicubic")


def test_pictures_whose_thumbnails_do_not_correlate_are_no_candidates():
    for other in (smooth(3, seed=1), torch.ones(3, 3, 64, 64)):
        assert duplicates_of(smooth(3), other)[0].tolist() == [torch.inf] * 3


@pytest.mark.parametrize("corner", [(-0.1, -0.1), (0.1, 0.05), (0.0, 0.1)])
def test_either_picture_may_be_the_crop(corner):
    whole = smooth(2)
    box = torch.tensor([[0.9, *corner]]).expand(2, 3)
    cut = F.interpolate(near_duplicates._sample(whole, box), size=(64, 64), mode="bicubic")
    for queries, known in ((whole, cut), (cut, whole)):
        distance, position = duplicates_of(queries, known)
        assert position.tolist() == [0, 1] and distance.max() < THRESHOLD / 2, distance


@pytest.mark.parametrize(
    "start, reached, too_far",
    [
        # its three steps are 0.03 + 0.015 + 0.008
        ((0.92, 0, 0), (0.973, 0, 0), (0.99, 0, 0)),
        ((0.92, 0, 0), (0.867, 0.053, 0.053), (0.85, 0.07, 0.07)),
        ((0.92, 0, 0), (0.867, -0.053, 0.053), (0.85, -0.07, 0.07)),
        ((0.92, 0, 0), (0.867, 0, -0.053), (0.85, 0, -0.07)),
        ((0.88, 0, 0), (0.85, 0, 0), (0.83, 0, 0)),  # it keeps 85 % of the side
        ((0.9, 0.07, 0.09), (0.9, 0.1, 0.1), (0.9, 0.11, 0.11)),  # and stays inside
    ],
)
def test_the_alignment_reaches_a_box_that_is_its_three_steps_away(start, reached, too_far):
    cut = smooth(3)
    start, *boxes = torch.tensor([start, reached, too_far])[:, None].expand(3, 3, 3)
    for box, near in zip(boxes, (True, False)):
        distance = near_duplicates._difference(cut, near_duplicates._sample(cut, box), start)
        assert distance.max() < 1e-3 if near else distance.min() > 1e-3, distance


@pytest.mark.parametrize("size, at", [(12, (24, 40)), (6, (8, 20)), (24, (4, 12))])
def test_the_distance_is_the_largest_of_windows_of_6_x_6(monkeypatch, size, at):
    """A patch of `size` pixels of 64 is half as wide in the comparison: the mean square is over the
    window, so a patch of half the window's side counts a quarter."""
    monkeypatch.setattr(near_duplicates, "_regraded", lambda x, y: x)
    whole, (x, y) = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)), at
    cut = whole.clone()
    cut[:, 1, y : y + size, x : x + size] += 0.2
    box = torch.tensor([[1.0, 0.0, 0.0]])
    distance = near_duplicates._difference(cut, near_duplicates._sample(whole, box), box)
    assert distance.item() == pytest.approx(0.2 * min(1, size / 12), abs=1e-5)


def test_colours_are_fitted_but_a_slope_stays_in_half_to_twice():
    x = near_duplicates._sample(smooth(2), torch.tensor([[0.9, 0, 0]] * 2))
    bent = 0.8 * x + 0.5 * x.square() - 0.3 * x.mean(1, keepdim=True) + 0.1
    torch.testing.assert_close(near_duplicates._regraded(x, bent), bent, rtol=0, atol=0.05)
    for slope, limit in ((9, 2), (1, 1), (0, 0.5)):
        y = torch.tensor([slope, 1, 1]).view(3, 1, 1) * x
        spread = near_duplicates._regraded(x, y)[:, 0].std((1, 2)) / x[:, 0].std((1, 2))
        assert spread.tolist() == pytest.approx([limit] * 2, rel=0.03)


def test_a_box_is_side_and_centre_of_a_window_that_is_sampled_bilinearly():
    x = torch.arange(64.0 * 64).view(1, 1, 64, 64).expand(2, 3, 64, 64)
    boxes = torch.tensor([[0.5, 0.5, -0.5], [1.0, 0.0, 0.0]])
    corner, everything = near_duplicates._sample(x, boxes)
    torch.testing.assert_close(corner, x[0, :, :32, 32:])
    torch.testing.assert_close(everything, F.avg_pool2d(x[0], 2))


def test_the_blur_spreads_a_point_by_binomial_weights_and_leaves_flat_pictures_as_they_are():
    point = torch.zeros(1, 3, 9, 9)
    point[:, :, 4, 4] = 256
    want = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1])
    np.testing.assert_allclose(near_duplicates._blur(point)[0, 2, 2:7, 2:7], want, rtol=1e-6)
    assert near_duplicates._blur(torch.ones(1, 3, 9, 9)).eq(1).all()


@pytest.mark.parametrize(
    "name, base",
    [
        ("woman firefighter: dark skin tone", "firefighter"),
        ("person rowing boat", "rowing boat"),
        ("man: red hair", "red hair"),
        ("woman: medium-light skin tone", "woman"),
        ("mango", "mango"),
        ("heart suit", "heart suit"),
    ],
)
def test_a_base_emoji_has_neither_tone_nor_gender(name, base):
    assert base_emoji(name) == base
