"""Synthetic near-duplicates are found, clean pictures are not; the interval covers the truth."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import stats
from torch.nn import functional as F

from miniclip.data import open_pairs
from miniclip.evaluation import data_overlap, synthetic_duplicates
from miniclip.evaluation.data_overlap import (
    THRESHOLD,
    all_minus_clean,
    base_emoji,
    near_duplicates,
    thumbnails,
)
from miniclip.evaluation.features import picture_source
from miniclip.evaluation.synthetic_duplicates import (
    CHANGES,
    cropped,
    recoloured,
    recompressed,
    resized,
    trial,
)


@pytest.fixture(scope="module")
def pairs():
    return open_pairs()


def check(pairs, seed, duplicates, clean):
    result = trial(pairs, seed, duplicates, clean)
    print(result)
    assert result["recall"] >= 0.95 and result["false"] <= 0.005 * clean, result


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_of_100_synthetic_duplicates_95_are_found_with_5_false_positives_among_1000(pairs, seed):
    check(pairs, seed, 100, 1000)


@pytest.mark.slow
def test_synthetic_duplicates_are_found_and_clean_pictures_are_not(pairs):
    check(pairs, 3, 40, 60)


@pytest.mark.parametrize("change", CHANGES)
def test_the_duplicate_it_names_is_the_one_that_was_changed(pairs, change):
    rng = np.random.default_rng(0)
    names = ["sushi", "owl", "castle", "guitar", "bicycle", "carrot"]
    indices = [i for i in range(len(pairs)) if pairs.captions(i)[0] in names]
    known, _ = thumbnails(pairs, indices)
    changed = picture_source([change(pairs.image(i), rng) for i in indices])
    distance, position = near_duplicates(thumbnails(changed, range(len(indices)))[0], known)
    assert position.tolist() == list(range(len(indices)))
    assert (distance <= THRESHOLD).sum() >= len(indices) - 1, distance  # its recall is .98, not 1


def test_a_picture_is_its_own_duplicate_and_a_blank_one_has_none():
    known = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert near_duplicates(known, known)[0].max() < 1e-3
    assert near_duplicates(torch.ones(1, 3, 64, 64), known)[0] > THRESHOLD
    distance, position = near_duplicates(known, known[:0])
    assert distance.tolist() == [torch.inf] * 4 and position.tolist() == [0] * 4
    assert [len(found) for found in near_duplicates(known[:0], known)] == [0, 0]


def smooth(n, seed=0):
    """n random pictures, (n, 3, 64, 64), without fine detail."""
    coarse = torch.rand(n, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(coarse, size=(64, 64), mode="bicubic")


def test_pictures_whose_thumbnails_do_not_correlate_are_no_candidates():
    for other in (smooth(3, seed=1), torch.ones(3, 3, 64, 64)):
        assert near_duplicates(smooth(3), other)[0].tolist() == [torch.inf] * 3


@pytest.mark.parametrize("corner", [(-0.1, -0.1), (0.1, 0.05), (0.0, 0.1)])
def test_either_picture_may_be_the_crop(corner):
    whole = smooth(2)
    box = torch.tensor([[0.9, *corner]]).expand(2, 3)
    cut = F.interpolate(data_overlap._sample(whole, box), size=(64, 64), mode="bicubic")
    for queries, known in ((whole, cut), (cut, whole)):
        distance, position = near_duplicates(queries, known)
        assert position.tolist() == [0, 1] and distance.max() < THRESHOLD / 2, distance


@pytest.mark.parametrize("direction", [(1, 0, 0), (-1, 1, 1), (-1, -1, 1), (-1, 0, -1)])
def test_the_alignment_reaches_any_box_that_is_its_three_steps_away(direction):
    cut, start = smooth(3), torch.tensor([[0.92, 0.0, 0.0]]).expand(3, 3)
    planted = start + torch.tensor(direction) * (0.03 + 0.015 + 0.008)
    whole = data_overlap._sample(cut, planted)
    assert data_overlap._difference(cut, whole, start).max() < 1e-4
    one_more = data_overlap._sample(cut, start + torch.tensor(direction) * 0.07)
    assert data_overlap._difference(cut, one_more, start).min() > 1e-3


def test_the_alignment_stays_inside_the_picture_and_keeps_85_percent_of_its_side(monkeypatch):
    tried, sample = [], data_overlap._sample
    monkeypatch.setattr(data_overlap, "_sample", lambda x, box: tried.append(box) or sample(x, box))
    for start, planted in (
        ([0.88, 0.1, -0.1], [0.75, 0.25, -0.25]),
        ([1.0, 0.0, 0.0], [1.1, 0.1, -0.1]),
    ):
        whole, first = sample(smooth(2), torch.tensor([planted]).expand(2, 3)), len(tried)
        data_overlap._difference(smooth(2), whole, torch.tensor([start]).expand(2, 3))
        side, *centre = torch.cat(tried[first:]).T
        assert 0.85 <= side.min() and side.max() <= 1
        border = max((side + c.abs()).max() for c in centre)
        assert border == pytest.approx(1), "it reaches the border and does not cross it"
    assert torch.cat(tried)[:, 0].min() == pytest.approx(0.85)


@pytest.mark.parametrize("size, at", [(12, (24, 40)), (6, (8, 20)), (24, (4, 12))])
def test_the_distance_is_the_largest_of_windows_of_6_x_6(monkeypatch, size, at):
    """A patch of `size` pixels of 64 is half as wide in the comparison: the mean square is over the
    window, so a patch of half the window's side counts a quarter."""
    monkeypatch.setattr(data_overlap, "_regraded", lambda x, y: x)
    whole, (x, y) = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)), at
    cut = whole.clone()
    cut[:, 1, y : y + size, x : x + size] += 0.2
    box = torch.tensor([[1.0, 0.0, 0.0]])
    distance = data_overlap._difference(cut, data_overlap._sample(whole, box), box)
    assert distance.item() == pytest.approx(0.2 * min(1, size / 12), abs=1e-5)


def test_colours_are_fitted_by_a_ridge_regression_towards_no_change():
    """Solved by least squares of more rows here; the slope of the first term stays in 0.5 .. 2."""
    x, y = (data_overlap._sample(smooth(2, s), torch.tensor([[0.9, 0, 0]] * 2)) for s in (0, 1))
    bent = torch.stack([0.8 * y[0] + 0.7 * x[0] ** 2, 5 * x[1]])
    found = data_overlap._regraded(x, bent)
    for p in range(2):
        grey = x[p].double().numpy() - x[p].double().numpy().mean((1, 2), keepdims=True)
        grey = grey.mean(0).ravel()
        for c in range(3):
            own, target = (v[p, c].double().numpy().ravel() for v in (x, bent))
            own = own - own.mean()
            terms = np.stack([own, own**2 - (own**2).mean(), grey], 1)
            rows = np.concatenate([terms / len(own) ** 0.5, 1e-3**0.5 * np.eye(3)])
            right = [*(target - target.mean()) / len(own) ** 0.5, 1e-3**0.5, 0, 0]
            curve = np.linalg.lstsq(rows, right, rcond=None)[0]
            want = terms @ [min(2, max(0.5, curve[0])), *curve[1:]] + target.mean()
            np.testing.assert_allclose(found[p, c].ravel(), want, atol=1e-4)


def test_a_box_is_side_and_centre_of_a_window_that_is_sampled_bilinearly():
    x = torch.arange(64.0 * 64).view(1, 1, 64, 64).expand(2, 3, 64, 64)
    boxes = torch.tensor([[0.5, 0.5, -0.5], [1.0, 0.0, 0.0]])
    corner, everything = data_overlap._sample(x, boxes)
    torch.testing.assert_close(corner, x[0, :, :32, 32:])
    torch.testing.assert_close(everything, F.avg_pool2d(x[0], 2))


def test_the_blur_spreads_a_point_by_binomial_weights_and_leaves_flat_pictures_as_they_are():
    point = torch.zeros(1, 3, 9, 9)
    point[:, :, 4, 4] = 256
    want = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1])
    np.testing.assert_allclose(data_overlap._blur(point)[0, 2, 2:7, 2:7], want, rtol=1e-6)
    flat = torch.full((1, 3, 9, 9), 0.7)
    torch.testing.assert_close(data_overlap._blur(flat), flat)


@pytest.mark.parametrize("contrast", [0.2, 0.005, 0.0])
def test_a_channel_of_little_contrast_has_a_short_vector(contrast):
    x = 0.5 + contrast * torch.tensor([1.0, -1.0]).repeat(72).view(1, 1, 12, 12).expand(
        1, 3, 12, 12
    )
    length = contrast / (contrast + 0.005)
    torch.testing.assert_close(data_overlap._unit(x).norm(dim=2), torch.full((1, 3), length))
    thumbnail = data_overlap._coarse(x.repeat_interleave(4, 2).repeat_interleave(4, 3))
    assert thumbnail.shape == (1, 432)
    assert thumbnail.square().sum().item() == pytest.approx(3 * length**2, abs=1e-4)


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


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_all_minus_clean_is_the_difference_it_says(answers):
    right, overlapping = (np.array(v) for v in zip(*answers))
    row = all_minus_clean(right, overlapping)
    if 0 < overlapping.sum() < len(right):
        assert row["all_minus_clean"] == pytest.approx(right.mean() - right[~overlapping].mean())
        low, high = row["interval"]
        assert low <= row["all_minus_clean"] <= high
        assert row["overlap"] == right[overlapping].mean()
    else:
        assert row["interval"] is None and row["p_value"] is None
    assert (row["clean"] is None) == overlapping.all()
    assert (row["overlap"] is None) == (not overlapping.any())
    assert ("overlap_interval" in row) == bool(overlapping.any())


def test_a_row_of_the_table_by_hand():
    """10 pictures, 4 of them overlap; right are 3 of the 4 and 2 of the 6."""
    right = [1, 1, 1, 0, 1, 1, 0, 0, 0, 0]
    row = all_minus_clean(right, [1] * 4 + [0] * 6)
    assert (row["n"], row["n_overlap"], row["share"], row["all"]) == (10, 4, 0.4, 0.5)
    assert (row["overlap"], row["clean"]) == (0.75, 1 / 3)
    assert row["all_minus_clean"] == pytest.approx(0.5 - 1 / 3)
    # P(X >= 3) of 4 at 1/3: (4 * 2 + 1) / 81
    assert row["p_value"] == pytest.approx(9 / 81)

    def exact(k, n, confidence):
        ends = stats.binomtest(k, n).proportion_ci(confidence, "exact")
        return np.array([ends.low, ends.high])

    assert row["all_interval"] == pytest.approx(exact(5, 10, 0.95), abs=1e-9)
    assert row["overlap_interval"] == pytest.approx(exact(3, 4, 0.95), abs=1e-9)
    farthest = 0.4 * (exact(3, 4, 0.975) - exact(2, 6, 0.975)[::-1])
    assert row["interval"] == pytest.approx(farthest, abs=1e-9)


@pytest.mark.parametrize("right, overlapping", [([], []), ([1, 0], [1]), ([1], [])])
def test_answers_and_pictures_must_be_as_many_and_not_none(right, overlapping):
    with pytest.raises(ValueError, match="do not go with"):
        all_minus_clean(right, overlapping)


@pytest.mark.parametrize("dirty, clean", [(0.4, 0.4), (0.95, 0.3), (0.1, 0.6)])
def test_the_interval_covers_the_truth_in_95_percent_of_simulated_runs(dirty, clean):
    rng, n, overlap, covered = np.random.default_rng(0), 103, 21, 0
    truth, runs = overlap / n * (dirty - clean), 400
    overlapping = np.arange(n) < overlap
    for _ in range(runs):
        right = rng.random(n) < np.where(overlapping, dirty, clean)
        low, high = all_minus_clean(right, overlapping)["interval"]
        covered += low <= truth <= high
    assert covered / runs >= 0.95, f"covered {covered} of {runs}"


class Recorder:
    """A picture of 20 x 20 that records what it is asked for."""

    width = 20

    def __init__(self):
        self.asked = []

    def resize(self, size, filter):
        self.asked.append(size)

    def crop(self, box):
        self.asked.append(box)

    def save(self, file, format, quality):
        self.asked.append(quality)
        Image.new("RGB", (1, 1)).save(file, format)


def test_changes_draw_their_sizes_places_and_qualities_from_the_whole_range():
    rng, sizes, boxes, qualities = np.random.default_rng(0), *(Recorder() for _ in range(3))
    for _ in range(1500):
        resized(sizes, rng)
    for _ in range(100):
        cropped(boxes, rng)
    for _ in range(300):
        recompressed(qualities, rng)
    assert {*sizes.asked} == {(side, side) for side in range(32, 160)}
    assert {*boxes.asked} == {(x, y, x + 18, y + 18) for x in range(3) for y in range(3)}
    assert {*qualities.asked} == {*range(25, 60)}


@pytest.mark.parametrize(
    "end, colours",
    [
        # 51 is .2 of 255: .2^.8 * .8 = .22076, 56; white is .8, 204; grey is .299 * 56 + .701 * 204
        # 102 and 153 become 98 and 135, whose grey is 124: 124 - .6 * 26, 124 + .6 * 11
        (0, [(56, 56, 56), (96, 185, 185), (108, 131, 131)]),
        # .2^1.25 * 1.15 = .15382, 39; white is clipped, 255; grey is .299 * 39 + .701 * 255
        # 102 and 153 become 93 and 154, whose grey is 136: 136 - 1.4 * 43, 136 + 1.4 * 18
        (1, [(39, 39, 39), (0, 255, 255), (76, 161, 161)]),
    ],
)
def test_colours_at_the_ends_of_the_range_of_recoloured(end, colours):
    class Ends:
        def uniform(self, low, high, n=None):
            return np.full(n, (low, high)[end]) if n else (low, high)[end]

    for pixel, want in zip([(51, 51, 51), (51, 255, 255), (102, 153, 153)], colours):
        found = recoloured(Image.new("RGB", (2, 2), pixel), Ends())
        assert found.getpixel((0, 0)) == pytest.approx(want, abs=1)


def test_nothing_recoloured_is_nothing_changed():
    one = SimpleNamespace(uniform=lambda low, high, n=None: np.ones(n) if n else 1.0)
    for level in (0, 255):
        picture = recoloured(Image.new("RGB", (2, 2), (level,) * 3), one)
        assert picture.getpixel((0, 0)) == (level,) * 3


class Flat:
    """27 emoji of one colour each, well apart; four of them have a second picture that is 10 levels
    brighter, and four others one that is 15 levels brighter."""

    colours = [(r, g, b) for r in (0, 110, 220) for g in (0, 110, 220) for b in (0, 110, 220)]
    more = [10] * 4 + [15] * 4

    def __init__(self):
        self.levels = [np.array(c) for c in self.colours]
        self.levels += [self.levels[3 * k] + more for k, more in enumerate(self.more)]

    def __len__(self):
        return len(self.levels)

    def base(self, i):
        return ("woman " if i % 2 else "man ") + f"number {i % 20}"  # some bases have two pictures

    def image(self, i):
        return Image.new("RGB", (4, 4), tuple(self.levels[i].tolist()))


@pytest.mark.parametrize("seed", range(4))
def test_clean_pictures_of_a_trial_are_like_no_known_one(monkeypatch, seed):
    """Neither by their base emoji nor by their pixels; what is found is counted."""
    pairs, asked, queries = Flat(), [], []

    def spied(source, indices):
        asked.append([*indices])
        return thumbnails(source, indices)

    def planned(x, known):
        queries.append(x)
        return torch.tensor([THRESHOLD, THRESHOLD / 2, *[2 * THRESHOLD] * (len(x) - 2)]), None

    monkeypatch.setattr(synthetic_duplicates, "thumbnails", spied)
    monkeypatch.setattr(synthetic_duplicates, "near_duplicates", planned)
    result = trial(pairs, seed, duplicates=6, clean=5)
    known, apart, _ = asked
    assert sorted(known + apart) == [*range(35)] and 8 <= len(apart) <= 9  # 1.6 times as many
    assert not {i % 20 for i in known} & {i % 20 for i in apart}
    far = [
        i
        for i in apart
        if min(np.mean((pairs.levels[i] - pairs.levels[j]) ** 2) for j in known) ** 0.5 > 0.05 * 255
    ]
    want = [pairs.levels[i].tolist() for i in far[:5]]
    assert (255 * queries[1][:, :, 0, 0]).round().tolist() == want
    assert (len(queries[0]), result["duplicates"], result["clean"]) == (6, 6, 5)
    assert (result["found"], result["false"]) == (2, 2)
    assert (result["recall"], result["precision"]) == (2 / 6, 2 / 4)


def test_the_precision_of_a_detector_that_finds_nothing_is_0(monkeypatch):
    nothing = lambda x, known: (torch.full((len(x),), 1.0), None)  # noqa: E731
    monkeypatch.setattr(synthetic_duplicates, "near_duplicates", nothing)
    result = trial(Flat(), duplicates=2, clean=3)
    assert (result["found"], result["recall"], result["precision"]) == (0, 0, 0)


def test_a_trial_is_of_40_duplicates_and_100_clean_pictures_the_same_each_time(monkeypatch):
    """343 emoji of a colour each, no two within .05."""
    pairs, queries = Flat(), []
    pairs.levels = [36 * np.array(c) for c in np.ndindex(7, 7, 7)]
    pairs.base = lambda i: f"number {i}"

    def found(x, known):
        queries.append(x[:, :, 0, 0])
        return torch.zeros(len(x)), None

    monkeypatch.setattr(synthetic_duplicates, "near_duplicates", found)
    assert trial(pairs) == trial(pairs, 0)
    want = dict(duplicates=40, clean=100, found=40, false=100, recall=1, precision=40 / 140)
    assert trial(pairs, 1) == want
    first, _, again, _, other, _ = queries
    assert torch.equal(first, again) and not torch.equal(first, other)
