"""The families under seal: what is asked of them, and the test that decides."""

import itertools

import numpy as np
import pytest
import sealed
from hypothesis import given
from hypothesis import strategies as st

from miniclip.data.icons.icons import Icons


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=7).filter(any))
def test_wilcoxon_s_p_is_the_share_of_signs_that_are_as_extreme(gains):
    gains = np.array(gains, float)
    size = np.abs(gains[gains != 0])
    ranks = np.array([(size < x).sum() + ((size == x).sum() + 1) / 2 for x in size])
    sums = [
        ranks[list(signs)].sum() for signs in itertools.product([False, True], repeat=len(size))
    ]
    own = ranks[gains[gains != 0] > 0].sum()
    tails = np.mean(np.array(sums) <= own), np.mean(np.array(sums) >= own)
    assert sealed.wilcoxon(gains) == pytest.approx(min(1, 2 * min(tails)))


def test_a_sealed_picture_that_equals_a_training_picture_is_not_asked_about(monkeypatch):
    inks = np.random.default_rng(0).integers(0, 255, (4, 32, 32), np.uint8)
    known = [[("carbon", "home", "")], [("tabler", "house", "")]]
    pairs = Icons(drawn=(known, inks[:2]))
    new = [[("ph", "copy", "")], [("ph", "home", "")], [("ph", "other", "")]]
    monkeypatch.setattr(sealed, "pictures", lambda under_seal: (new, inks[[0, 2, 3]]))
    found = sealed.opened(pairs)
    assert [found.names(i) for i in found.splits["heldout_site"]] == [("home",), ("other",)]
    assert found.splits["train"] == pairs.splits["train"] == [0]


def test_a_difference_that_is_the_same_everywhere_has_no_interval():
    first, second = {name: 0.5 for name in "abcdefgh"}, {name: 0.25 for name in "abcdefgh"}
    gain = sealed.difference(first, second)
    assert gain["value"] == gain["low"] == gain["high"] == 0.25
    assert gain["ahead"] == "8 of 8" and gain["p"] == pytest.approx(2 / 2**8)
