"""A released model: a small file made of a run, found by its name, loaded without a network."""

import json
import socket
from pathlib import Path

import pytest
import torch

import eval as evaluation
import miniclip
from lessons.studies.release import main, release
from miniclip.bpe import Tokenizer
from miniclip.data.icons import icons as icons_module
from miniclip.evaluation import features
from miniclip.model.clip import create_model
from miniclip.training import checkpoint
from miniclip.weights import reading
from tests.data.icons import made_up
from tests.search.folders import said
from tests.shared import must_refuse

FACTS = dict(command="python train.py --data icons", seed=3, steps=9, zero_shot={"top-1": 0.5})


def finished_run(folder, seed=0, results=FACTS):
    """A folder as train.py leaves it, with new weights."""
    torch.manual_seed(seed)
    texts = [f"thing {k}" for k in range(9)]
    tokenizer = Tokenizer.train(texts, 520, context_length=24)
    model = create_model("rn_icons", vocab_size=520, vision_width=4, tokenizer=tokenizer.digest)
    with torch.no_grad():
        model.visual.bn1.running_var[0] = 3e-6  # in 16 bits: a twentieth off
    state = dict(
        model=model.state_dict(),
        config=model.config,
        tokenizer=tokenizer.state(),
        options=dict(data="icons", seed=seed),
        packages=icons_module.versions(),
        pairs=5,
        step=9,
        optimizer=torch.optim.AdamW(model.parameters()).state_dict(),
    )
    checkpoint.save(folder / "checkpoint.pt", state)
    if results:
        (folder / "results.json").write_text(json.dumps(results | {"split": {"R@1": 0.1}}))
    return model


@pytest.fixture
def released(tmp_path, monkeypatch):
    """A folder of released models with one called icons; returns (path, the model it is made of)."""
    monkeypatch.setattr(reading, "RELEASED", tmp_path / "released")
    model = finished_run(tmp_path / "run")
    release(tmp_path / "run", tmp_path / "released/icons.pt")
    return tmp_path / "released/icons.pt", model


def test_it_has_matrices_of_16_bits_and_no_optimizer_and_is_loaded_by_its_name_in_32(released):
    path, model = released
    state, whole = checkpoint.load(path), model.state_dict()
    loaded, tokenizer, _ = miniclip.load("icons")
    for name, x in loaded.state_dict().items():
        kept = state["model"][name]
        assert kept.dtype == (torch.float16 if x.ndim > 1 else whole[name].dtype), name
        assert torch.equal(kept, whole[name].to(kept.dtype)) and torch.equal(x, kept.to(x.dtype)), (
            name
        )
    assert state["card"] == FACTS and state["packages"] == icons_module.versions()
    assert state["options"] == dict(data="icons", seed=0) and state["config"] == model.config
    assert path.stat().st_size < 2 * sum(p.numel() for p in model.parameters()) + 100_000
    assert {p.dtype for p in loaded.parameters()} == {torch.float32} and not loaded.training
    assert tokenizer.digest == loaded.config["tokenizer"] and "optimizer" not in state


def test_the_name_is_the_released_model_and_a_file_of_that_name_is_given_with_its_folder(
    released, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "icons").write_text("mine")
    assert reading.find("icons") == released[0]
    assert reading.find(Path("./icons")) == reading.find("./icons") == Path("icons")
    assert reading.find("icons.pt") == Path("icons.pt")
    must_refuse("no weights file at iconz", miniclip.load, "iconz")


def test_the_command_says_the_card_and_refuses_a_run_that_has_not_ended_or_does_not_fit_16_bits(
    tmp_path, capsys, refused
):
    run, file = tmp_path / "run", tmp_path / "new/icons.pt"
    finished_run(run, results=None)
    assert "results.json: No such file" in refused(main, run, file)
    finished_run(run)
    out = said(main, [run, file], capsys)
    assert FACTS["command"] in out and "icons.pt: " in out and file.is_file()
    file.unlink()
    state = checkpoint.load(run / "checkpoint.pt")
    for factor in (1e-12, 1e19):  # after the second all numbers are 1e7 times as large
        state["model"]["text_projection"] *= factor
        checkpoint.save(run / "checkpoint.pt", state)
        assert "16 bits cannot hold" in refused(main, run, file)
    assert not file.exists()


# a search with it


@pytest.fixture
def icons(tmp_path, cache, monkeypatch):
    """Five icons, of a training set and of Tabler; an empty cache; an empty working folder."""
    owned = [[(set_, f"thing {k}", "")] for k, set_ in enumerate(["carbon"] * 3 + ["tabler"] * 2)]
    monkeypatch.setattr(icons_module, "pictures", lambda folder=None: made_up(owned))
    monkeypatch.chdir(tmp_path)


def test_a_search_by_its_name_is_among_all_icons_and_encodes_them_once(
    released, icons, tmp_path, monkeypatch, capsys
):
    search = ["--checkpoint", "icons", "--search", "thing 3"]
    assert evaluation.main(search) == 0
    out = capsys.readouterr().out
    assert all(f"thing {k}" in out for k in range(5))
    assert "drawn in runs/icons-released/search.png" in out
    assert (tmp_path / "runs/icons-released/search.png").is_file()

    def again(model, read, items):
        assert not items, "the pictures are encoded again"
        return iter(())

    monkeypatch.setattr(features, "encode_pictures", again)
    assert evaluation.main(search) == 0
    assert capsys.readouterr().out == out
    finished_run(tmp_path / "other", seed=1)
    with pytest.raises(AssertionError, match="again"):
        evaluation.main(["--checkpoint", "other/checkpoint.pt", "--search", "thing 3"])


# the file in the package


def test_the_package_brings_a_small_model_of_icons_that_needs_no_network(monkeypatch):
    monkeypatch.delattr(socket, "socket")
    model, tokenizer, _ = miniclip.load("icons")
    assert model.config["name"] == "rn_icons" and tokenizer.digest == model.config["tokenizer"]
    assert reading.find("icons").stat().st_size < 3.5e6
    state = checkpoint.load(reading.find("icons"))
    assert state["options"]["data"] == "icons"
    assert {"command", "seed", "train_seconds", "machine", "zero_shot"} <= state["card"].keys()
    assert icons_module.of_first_icons(state["packages"])
