"""The icons as pairs: what is trained on shares no picture and no held-out name with the tests."""

import collections
import importlib.metadata
import json
import signal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import eval as evaluation
import train
from miniclip.common import UserError
from miniclip.data import open_pairs
from miniclip.data.curation.balance import write_list
from miniclip.data.curation.curate import curate
from miniclip.data.dataset import is_held_out
from miniclip.data.icons import render, sets
from miniclip.data.icons.icons import TEST, VALIDATION, Icons
from miniclip.evaluation.context import open_data
from miniclip.training import checkpoint
from tests.data.icons import made_up
from tests.runs import stopped_and_resumed

NAMES = [f"thing {k}" for k in range(40)]
SITES = ["fontawesome", "ionicons", "eva", "remix", "lucide"]
STYLES = st.sampled_from(["", "fill", "line"])
DRAWN = st.tuples(st.sampled_from(SITES), st.sampled_from(NAMES), STYLES)
OWNED = st.lists(st.lists(DRAWN, min_size=1, max_size=3), min_size=1, max_size=20)


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


@given(OWNED)
def test_the_classes_are_the_names_that_training_and_the_held_out_site_share(owned):
    assert 0 < sum(map(is_held_out, NAMES)) < len(NAMES) / 2  # some names are held out
    pairs = Icons(drawn=made_up(owned))
    trained, held = (
        {name for i in pairs.splits[split] for name in pairs.names(i)}
        for split in ("train", "heldout_site")
    )
    assert pairs.shared_names == tuple(sorted(trained & held))


@given(OWNED, st.integers(0, 2**32))
def test_a_caption_is_a_name_of_the_picture_with_or_without_its_style(owned, seed):
    pairs, rng = Icons(drawn=made_up(owned)), np.random.default_rng(seed)
    for i, own in enumerate(owned):
        spelled = [(name, f"{name} {style}".strip()) for _, name, style in own]
        assert pairs.caption(i, rng) in {text for both in spelled for text in both}
        assert pairs.captions(i) == tuple(dict.fromkeys(whole for _, whole in spelled))
        assert pairs.names(i) == tuple(dict.fromkeys(name for name, _ in spelled))


def test_each_name_is_drawn_equally_often_and_its_style_in_half_of_the_captions():
    owned, inks = made_up([[("remix", "home", "line"), ("eva", "house", "outline")]])
    pairs, rng = Icons(drawn=(owned, inks)), np.random.default_rng(0)
    counts = collections.Counter(pairs.caption(0, rng) for _ in range(4000))
    assert set(counts) == {"home", "home line", "house", "house outline"}
    # 5 standard deviations of a share of 1/4 in 4,000 draws
    assert all(abs(n / 4000 - 1 / 4) < 5 * (3 / 16 / 4000) ** 0.5 for n in counts.values()), counts
    assert np.array_equal(pairs.image(0), np.repeat(255 - inks[0][..., None], 3, axis=2))


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
    with pytest.raises(UserError, match="--image-column is for csv"):
        open_pairs("icons", image_column="x")


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


# --- train.py and eval.py: each option does something, is saved, and is resumed with

TRAINED_SITES = ["remix", "lucide", "eva", "fontawesome"]


@pytest.fixture(scope="module")
def icons():
    """Icons of four sites with the same 20 names, of random ink. Font Awesome has all names, so none
    of them is held out. The packages are the installed ones."""
    owned = [[(site, f"thing {k}", "line")] for site in TRAINED_SITES for k in range(20)]
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(render, "pictures", lambda: made_up(owned))
        yield
    signal.signal(signal.SIGINT, before[0]), signal.signal(signal.SIGTERM, before[1])


def run(out, *more):
    arguments = ["--data", "icons", "--out", out, "--batch-size", 8, "--threads", 1, *more]
    return train.main([str(a) for a in arguments])


def final(out):
    return checkpoint.load(out / "checkpoint.pt")


def same(a, b):
    return all(torch.equal(x, b["model"][name]) for name, x in a["model"].items())


@pytest.fixture
def no_report(monkeypatch):
    """Its figures take longer than three steps."""
    monkeypatch.setattr(train, "report", lambda *about: None)


@pytest.fixture(scope="module")
def base(icons, tmp_path_factory):
    """A run of three steps."""
    out = tmp_path_factory.mktemp("runs") / "base"
    assert run(out, "--steps", 3) == 0
    return out


def test_icons_have_their_own_model_recipe_and_folder(base, tmp_path):
    state = final(base)
    assert state["config"]["name"] == "rn_icons"
    wanted = dict(data="icons", augment="icons", unique_names=True, lr=3e-3, clip_grad=1.0)
    assert wanted.items() <= state["options"].items()
    assert state["packages"] == sets.versions() and len(state["packages"]) == 13
    results = json.loads((base / "results.json").read_text())
    assert results["zero_shot"]["n"] == results["zero_shot"]["classes"] > 10
    assert 0 <= results["zero_shot"]["top-1"] <= results["zero_shot"]["top-5"] <= 1


@pytest.mark.parametrize(
    "options, saved, count",
    [
        (["--augment", "crop"], dict(augment="crop"), 60),
        (["--no-unique-names"], dict(unique_names=False), 60),
        (["--sites", "remix,eva"], dict(sites="remix,eva"), 40),
        (["--held-out-sites", "eva"], dict(held_out_sites="eva"), 40),
        (["--pairs", 17], dict(pairs=17), 17),
    ],
)
def test_each_option_changes_what_is_learned_and_is_saved(
    options, saved, count, base, no_report, tmp_path, capsys
):
    assert run(tmp_path / "run", "--steps", 3, *options) == 0
    said, state = capsys.readouterr().out, final(tmp_path / "run")
    assert saved.items() <= state["options"].items()
    assert not same(state, final(base))
    assert f"icons: {count} pairs to train on" in said, said
    with pytest.raises(SystemExit):  # another wish on resumption is refused
        run(tmp_path / "run", "--resume", "--pairs", 5, "--sites", "lucide")
    assert "choose another --out" in capsys.readouterr().err


def test_a_stopped_run_goes_on_with_its_options_to_the_same_weights(
    icons, no_report, tmp_path, monkeypatch
):
    more = ("--steps", 14, "--sites", "remix,lucide", "--held-out-sites", "eva", "--pairs", 30)
    stopped_and_resumed("icons", tmp_path, monkeypatch, *more)


def other_version(monkeypatch):
    real = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda p: "1.1.9" if p == "tkinter-icons-mat" else real(p)
    )
    return f"tkinter-icons-mat 1.1.9 (was {real('tkinter-icons-mat')})"


def test_other_packages_are_refused_by_a_resumed_run_and_said_by_an_evaluation(
    base, tmp_path, monkeypatch, capsys
):
    search = ["--checkpoint", str(base / "checkpoint.pt"), "--out", str(tmp_path), "--search", "x"]
    monkeypatch.setenv("MINICLIP_CACHE", str(tmp_path / "cache"))
    assert evaluation.main(search) == 0
    assert "no longer" not in capsys.readouterr().out
    changed = other_version(monkeypatch)
    assert evaluation.main(search) == 0
    assert f"that the model was trained on: {changed}\n" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        run(base, "--resume")
    said = capsys.readouterr().err
    assert stop.value.code == 2 and said.count("\n") == 1 and changed in said, said


def test_a_site_that_shares_no_name_is_trained_on_without_zero_shot(icons, tmp_path):
    assert run(tmp_path / "run", "--steps", 1, "--held-out-sites", "weather") == 0
    assert "zero_shot" not in json.loads((tmp_path / "run/results.json").read_text())


def test_a_list_of_pairs_is_trained_on_and_read_again_for_evaluation(
    icons, tmp_path, no_report, capsys
):
    pairs, out, path = open_pairs("icons"), tmp_path / "run", tmp_path / "list.csv"
    found = curate(pairs, cap=1, min_count=1)
    write_list(pairs, path, found)
    assert run(out, "--steps", 1, "--keep", path) == 0
    assert "icons: 20 pairs to train on" in capsys.readouterr().out  # each name once
    saved = final(out)
    before = saved | dict(options=saved["options"] | dict(pairs=str(path), keep=None))
    for state in (saved, before):  # once a list stood under pairs
        assert open_data(state)[0].splits["train"] == found.kept["pair"].tolist()
    path.unlink()
    with pytest.raises(UserError, match="list.csv cannot be read"):
        open_data(saved)
