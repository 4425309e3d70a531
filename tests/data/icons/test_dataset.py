"""The icons as pairs: what is trained on shares no picture and no held-out name with the tests."""

import collections

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniclip.common import UserError
from miniclip.data import open_pairs
from miniclip.data.dataset import is_held_out
from miniclip.data.icons import render
from miniclip.data.icons.icons import TEST, VALIDATION, Icons
from tests.data.icons import made_up

NAMES = [f"thing {k}" for k in range(40)]
SITES = ["fontawesome", "ionicons", "eva", "remix", "lucide"]
OWNED = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(SITES), st.sampled_from(NAMES), st.sampled_from(["", "fill", "line"])
        ),
        min_size=1,
        max_size=3,
    ),
    min_size=1,
    max_size=20,
)


def sites_of(own):
    return {site for site, _, _ in own}


@given(OWNED, st.sampled_from([TEST, VALIDATION]), st.sampled_from([None, ["remix"]]))
def test_training_has_no_picture_of_a_site_and_no_name_that_is_held_out(owned, held_out, sites):
    pairs = Icons(sites, held_out, made_up(owned))
    splits = pairs.splits
    placed = [i for indices in splits.values() for i in indices]
    assert len(placed) == len(set(placed))
    known = {name for own in owned for site, name, _ in own if site == "fontawesome"}
    new = {name for name in NAMES if is_held_out(name)} - known
    allowed = {"remix"} if sites else {*SITES} - {"fontawesome"} - {*held_out}
    for i, own in enumerate(owned):
        own_names = {name for _, name, _ in own}
        assert (i in splits["heldout_site"]) == bool(sites_of(own) & {*held_out}), own
        trainable = sites_of(own) <= allowed
        assert (i in splits["train"]) == (trainable and not own_names & new), own
        assert (i in splits["heldout_names"]) == (trainable and bool(own_names & new)), own


def test_some_made_up_names_are_held_out():
    """Else the law above would say nothing about names."""
    assert 0 < sum(map(is_held_out, NAMES)) < len(NAMES) / 2


@given(OWNED)
def test_the_classes_are_the_names_that_training_and_the_held_out_site_share(owned):
    pairs = Icons(drawn=made_up(owned))
    for name in NAMES:
        trained, held = (
            any(name in pairs.names(i) for i in pairs.splits[split])
            for split in ("train", "heldout_site")
        )
        assert (name in pairs.shared_names) == (trained and held)
    assert list(pairs.shared_names) == sorted(set(pairs.shared_names))


@given(OWNED, st.integers(0, 2**32))
def test_a_caption_is_a_name_of_the_picture_with_or_without_its_style(owned, seed):
    pairs, rng = Icons(drawn=made_up(owned)), np.random.default_rng(seed)
    for i, own in enumerate(owned):
        spelled = [(name, f"{name} {style}".strip()) for _, name, style in own]
        assert pairs.caption(i, rng) in {text for both in spelled for text in both}
        assert pairs.captions(i) == tuple(dict.fromkeys(whole for _, whole in spelled))
        assert pairs.names(i) == tuple(dict.fromkeys(name for name, _ in spelled))


def test_each_name_is_drawn_equally_often_and_its_style_in_half_of_the_captions():
    owned = [[("remix", "home", "line"), ("eva", "house", "outline")]]
    pairs, rng = Icons(drawn=made_up(owned)), np.random.default_rng(0)
    counts = collections.Counter(pairs.caption(0, rng) for _ in range(4000))
    assert set(counts) == {"home", "home line", "house", "house outline"}
    # 5 standard deviations of a share of 1/4 in 4,000 draws
    assert all(abs(n / 4000 - 1 / 4) < 5 * (3 / 16 / 4000) ** 0.5 for n in counts.values()), counts


def test_a_picture_is_black_ink_on_white():
    owned, inks = made_up([[("remix", "home", "line")]] * 2)
    picture = Icons(drawn=(owned, inks)).image(1)
    assert picture.mode == "RGB" and picture.size == (64, 64)
    assert np.array_equal(np.asarray(picture), np.repeat(255 - inks[1][..., None], 3, axis=2))


@pytest.mark.parametrize(
    "how, words",
    [
        (dict(sites=["remix", "nope"]), "no icon set 'nope'; there are bootstrap, eva"),
        (dict(held_out_sites=["nope"]), "no icon set 'nope'"),
        (dict(sites=["remix", "fontawesome"]), "fontawesome is held out"),
        (dict(sites=["fontawesome"], held_out_sites=["eva"]), "fontawesome is held out"),
        (dict(sites=["eva"], held_out_sites=["eva"]), "eva is held out"),
    ],
)
def test_a_site_that_cannot_be_is_one_sentence(how, words):
    with pytest.raises(UserError, match=words):
        Icons(drawn=made_up([[("remix", "home", "")]]), **how)


def test_open_pairs_opens_icons_by_name_and_takes_lists_of_sites(monkeypatch, tmp_path):
    owned = [[(site, f"{site} home", "")] for site in SITES]
    monkeypatch.setattr(render, "pictures", lambda: made_up(owned))
    (tmp_path / "icons").mkdir()
    monkeypatch.chdir(tmp_path)  # the name wins over a folder
    pairs = open_pairs("icons")
    assert pairs.held_out_sites == ("fontawesome",) and "remix" in pairs.sites
    assert not {"fontawesome"} & {*pairs.sites} and len(pairs.sites) == 12
    pairs = open_pairs("icons", sites="remix,lucide", held_out_sites="eva,ionicons")
    assert pairs.sites == ("remix", "lucide") and pairs.splits["heldout_site"] == [1, 2]
    assert pairs.splits["train"] == [3, 4]
    for source in (None, "./icons"):
        with pytest.raises(UserError, match="--sites is for icons"):
            open_pairs(source, sites="remix")
    with pytest.raises(UserError, match="--separator is for a csv"):
        open_pairs("icons", separator=";")


@pytest.mark.slow
@pytest.mark.parametrize("held_out", [TEST, VALIDATION])
def test_no_picture_and_no_held_out_name_crosses_the_splits_of_all_icons(held_out):
    pairs = Icons(held_out_sites=held_out)
    hashes = [render.coarse(ink) for ink in pairs.inks]
    assert len(set(hashes)) == len(pairs) > 29_000
    splits = pairs.splits
    assert sum(map(len, splits.values())) == len({i for own in splits.values() for i in own})
    for split in ("train", "heldout_names"):
        for i in splits[split]:
            assert not sites_of(pairs.owned[i]) & {*TEST, *held_out}, pairs.owned[i]
    trained = {name for i in splits["train"] for name in pairs.names(i)}
    known = {name for own in pairs.owned for site, name, _ in own if site in TEST}
    assert not any(is_held_out(name) for name in trained - known)
    for i in splits["heldout_names"]:
        assert not trained.issuperset(pairs.names(i)), pairs.owned[i]
    assert len(pairs.shared_names) > (300 if held_out == VALIDATION else 600)
