"""The families under seal: what is asked of them, and the test that decides."""

import numpy as np
import pytest
import sealed

from miniclip.data.icons.icons import Icons


def test_a_sealed_picture_that_equals_a_training_picture_is_not_asked_about(monkeypatch):
    inks = np.random.default_rng(0).integers(0, 255, (4, 32, 32), np.uint8)
    known = [[("carbon", "home", "")], [("tabler", "house", "")]]
    pairs = Icons(drawn=(known, inks[:2]))
    new = [[("ph", "copy", "")], [("ph", "home", "")], [("ph", "other", "")]]
    monkeypatch.setattr(sealed, "sealed", lambda: (new, inks[[0, 2, 3]]))
    found = sealed.opened(pairs)
    assert [found.names(i) for i in found.splits["heldout_site"]] == [("home",), ("other",)]
    assert found.splits["train"] == pairs.splits["train"] == [0]


def test_a_difference_that_is_the_same_everywhere_has_no_interval():
    first, second = {name: 0.5 for name in "abcdefgh"}, {name: 0.25 for name in "abcdefgh"}
    gain = sealed.difference(first, second)
    assert gain["value"] == gain["low"] == gain["high"] == 0.25
    assert gain["ahead"] == "8 of 8" and gain["p"] == pytest.approx(2 / 2**8)
