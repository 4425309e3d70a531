"""The options of a run: where they come from, and which of them exclude each other."""

import contextlib
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from miniclip.common import UserError
from miniclip.model.clip import MODELS
from miniclip.objectives import PLAIN
from miniclip.training import config as config_file
from miniclip.training.config import Config
from miniclip.training.recipe import fine_tuning, recipe
from tests.shared import must_refuse

CPU, CUDA, MPS = map(torch.device, ("cpu", "cuda", "mps"))
START = {"config": MODELS["rn_mini"] | {"name": "rn_mini", "tokenizer": "ab12"}}


def completed(*arguments, saved=None, device=CPU):
    """The options after `complete`; --init names weights of rn_mini with a vocabulary of its own."""
    config = Config.parse([str(a) for a in arguments], "train.py", "")
    config.complete(saved, saved or (START if config.init else None), device)
    return config


PLAIN_RUN = dict(
    model="rn_mini", out=Path("runs/rn_mini"), seed=0, compile=False, unique_names=None
)


@pytest.mark.parametrize(
    "arguments, want",
    [
        ([], PLAIN_RUN | recipe("rn_mini") | dict(lr=2e-3)),
        (["--data", "icons"], dict(model="rn_icons", out=Path("runs/icons"), lr=3e-3)),
        (["--data", "icons"], dict(unique_names=True)),
        (["--lr", 0.5], PLAIN_RUN | recipe("rn_mini") | dict(lr=0.5)),
        (["--steps", 3], dict(steps=3, epochs=None)),
        (["--tokenizer", "openai"], dict(vocab_size=None)),
        (["--init", "x.pt"], fine_tuning("rn_mini") | dict(model="rn_mini", vocab_size=None)),
    ],
)
def test_what_is_not_given_is_that_of_the_model_s_recipe(arguments, want):
    config = completed(*arguments)
    assert {name: getattr(config, name) for name in want} == want


def saved_by(*arguments, **changes):
    """The state in the checkpoint of a run."""
    return {"options": completed(*arguments).of_run() | changes} | START


def test_a_run_that_goes_on_has_the_options_that_it_was_started_with():
    saved = saved_by("--steps", 5, "--lr", 0.5, "--half-moments", "--workers", 3)
    del saved["options"]["objective"]  # as before there was a choice
    config = completed("--resume", "--lr", 0.5, "--workers", 2, saved=saved)
    assert (config.lr, config.half_moments, config.steps, config.epochs) == (0.5, True, 5, None)
    assert config.objective == "contrastive" and config.workers == 2


def test_a_run_goes_on_whose_list_was_recorded_as_its_pairs():
    saved = saved_by("--steps", 5, pairs="list.csv")
    del saved["options"]["keep"]
    config = completed("--resume", "--keep", "list.csv", saved=saved)
    assert (config.pairs, config.keep) == (None, "list.csv")


@pytest.mark.parametrize(
    "given, changes, words",
    [
        (["--lr", 0.25], {}, "was started with --lr 0.5, and this command gives 0.25; "),
        (["--seed", 1], {}, "was started with --seed 0, and this command gives 1"),
        (["--epochs", 2], {}, "was started without --epochs, and this command gives 2.0"),
        (
            ["--objective", "sigmoid"],
            {},
            "with --objective contrastive, and this command gives sigmoid",
        ),
        (["--data", "emoji"], dict(data="pairs.csv"), "was started with --data pairs.csv"),
        (
            ["--no-unique-names"],
            dict(unique_names=True),
            "--unique-names True, and this command gives False",
        ),
        ([], dict(one_sentence=True), "are for python lessons/studies/objectives.py"),
        ([], dict(projection="mlp"), "are for python lessons/studies/objectives.py"),
        ([], dict(augment="convirt"), "are for python lessons/studies/objectives.py"),
        ([], dict(objective="ngrams"), "is trained by python lessons/studies/objectives.py"),
    ],
)
def test_a_run_is_not_gone_on_with_otherwise_than_it_was_started(given, changes, words):
    saved = saved_by("--steps", 5, "--lr", 0.5, **changes)
    must_refuse(words, completed, "--resume", *given, saved=saved)


COMPILED = ["--compile", "--grad-checkpointing"]


@pytest.mark.parametrize(
    "arguments, words, where",
    [
        (["--tokenizer", "openai", "--vocab-size", 600], "--vocab-size.*--tokenizer", {}),
        (["--init", "x", "--vocab-size", 600], "--vocab-size.*--init", {}),
        (["--init", "x", "--tokenizer", "openai"], "its own vocabulary.*--tokenizer", {}),
        (["--init", "x", "--objective", "sigmoid"], "trained with --objective contrastive", {}),
        (["--pairs", 3, "--keep", "x"], "--pairs and --keep", {}),
        (["--freeze", "image"], "--freeze image.*--init", {}),
        (["--activation", "gelu"], "--activation.*--init", {}),
        (["--augment", "icons", "--crop", 0.5], "--crop.*--augment crop", {}),
        (["--objective", "sigmoid", "--micro-batch", 4], "--micro-batch.*sigmoid", {}),
        (["--objective", "sigmoid", "--compile"], "--compile.*sigmoid", {}),
        (["--objective", "sigmoid"], "trains in one process, not in 4", dict(world=4)),
        (["--batch-size", 3], "some of 4 ranks without a pair", dict(world=4)),
        (["--batch-size", 4], None, dict(world=4)),
        (["--sync-bn"], "--sync-bn needs GPUs", {}),
        (["--precision", "bf16"], "fp32 only", dict(device=MPS)),
        (COMPILED, "twice per batch before torch 2.9", dict(version="2.8.0")),
        (COMPILED, None, dict(version="2.9.1")),
        ([*COMPILED, "--model", "vit_mini"], None, dict(version="2.8.0")),
    ],
)
def test_what_does_not_go_together_is_refused(arguments, words, where, monkeypatch):
    version = torch.torch_version.TorchVersion(where.get("version", torch.__version__))
    monkeypatch.setattr(torch, "__version__", version)
    monkeypatch.setattr(config_file, "dist_info", lambda: (0, where.get("world", 1)))
    with pytest.raises(UserError, match=words) if words else contextlib.nullcontext():
        completed(*arguments, device=where.get("device", CPU))


@pytest.mark.parametrize("capability, precision", [((7, 0), "fp16"), ((8, 0), "bf16")])
def test_a_card_that_only_emulates_bf16_trains_in_fp16(capability, precision, monkeypatch):
    """A V100 (7.0) computes bf16 by way of float32; its tensor cores have fp16."""
    card = SimpleNamespace(major=capability[0], minor=capability[1])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: card)
    monkeypatch.setattr(torch.cuda, "_check_bf16_tensor_supported", lambda _: True)
    assert completed(device=CUDA).precision == precision


def test_what_may_change_is_not_saved():
    options = completed("--lr", 0.5, "--workers", 2, "--resume").of_run()
    assert options["lr"] == 0.5 and not {"out", "resume", "workers", "compile", "gpu"} & set(
        options
    )
    assert set(PLAIN) <= set(options)
