"""train.py and eval.py on icons: each option does something, is saved, and is resumed with."""

import argparse
import importlib.metadata
import json
import signal

import pytest
import torch

import eval as evaluation
import train
from miniclip.common import UserError
from miniclip.data import open_pairs
from miniclip.data.curation.balance import write_list
from miniclip.data.curation.curate import curate
from miniclip.data.icons import render, sets
from miniclip.evaluation.context import open_data
from miniclip.training import checkpoint
from tests.data.icons import made_up
from tests.interruption import stop_at_loss

SITES = ["remix", "lucide", "eva", "fontawesome"]


@pytest.fixture(scope="module")
def icons():
    """Icons of four sites with the same 20 names, of random ink. Font Awesome has all names, so none
    of them is held out. The packages are the installed ones."""
    owned = [[(site, f"thing {k}", "line")] for site in SITES for k in range(20)]
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
    assert train.options(["--data", "icons"]).out.as_posix() == "runs/icons"
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
    run(tmp_path / "whole", *more)
    stop_at_loss(monkeypatch, 5)
    assert run(tmp_path / "parts", *more) == 128 + signal.SIGTERM
    assert 0 < final(tmp_path / "parts")["step"] < 14
    assert train.main(["--out", str(tmp_path / "parts"), "--resume", "--threads", "1"]) == 0
    assert final(tmp_path / "parts")["step"] == 14
    assert same(final(tmp_path / "parts"), final(tmp_path / "whole"))


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


def test_a_site_that_is_held_out_or_unknown_is_refused(icons, tmp_path, capsys):
    for sites, words in (("remix,fontawesome", "fontawesome is held out"), ("nope", "'nope'")):
        with pytest.raises(SystemExit) as stop:
            run(tmp_path / "run", "--sites", sites)
        said = capsys.readouterr().err
        assert stop.value.code == 2 and said.count("\n") == 1 and words in said, said


def test_a_site_that_shares_no_name_is_trained_on_without_zero_shot(icons, tmp_path):
    assert run(tmp_path / "run", "--steps", 1, "--held-out-sites", "weather") == 0
    assert "zero_shot" not in json.loads((tmp_path / "run/results.json").read_text())


def test_a_list_of_pairs_is_trained_on_and_read_again_for_evaluation(
    icons, tmp_path, no_report, capsys
):
    pairs, out, path = open_pairs("icons"), tmp_path / "run", tmp_path / "list.csv"
    found = curate(pairs, cap=1, min_count=1)
    write_list(pairs, path, found)
    assert run(out, "--steps", 1, "--pairs", path) == 0
    assert "icons: 20 pairs to train on" in capsys.readouterr().out  # each name once
    saved, args = final(out), argparse.Namespace(data=None)
    assert open_data(args, saved)[0].splits["train"] == found.kept["pair"].tolist()
    path.unlink()
    with pytest.raises(UserError, match="list.csv cannot be read"):
        open_data(args, saved)
