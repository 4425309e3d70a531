"""lessons/studies/objectives.py trains by every objective; load and eval.py read what it leaves."""

import json

import objectives
import pytest
import torch

import eval as evaluate
import miniclip
import train
from miniclip.objectives import OBJECTIVES
from miniclip.search import __main__ as search
from miniclip.training import checkpoint
from miniclip.weights import save_huggingface, save_openclip
from tests.runs import (
    assert_same_weights,
    final,
    lengthen,
    log,
    on,
    resume,
    run,
    stopped_and_resumed,
)
from tests.shared import must_refuse

pytestmark = pytest.mark.slow
APART = [name for name, kind in OBJECTIVES.items() if not kind.shared_space]


def study(pairs_csv, out, *more):
    return objectives.main(on(pairs_csv, out, "--log-every", 1, *more))


@pytest.fixture(scope="module")
def trained(pairs_csv, tmp_path_factory):
    """{objective: folder of a run of two steps}, trained when it is first asked for."""
    done, root = {}, tmp_path_factory.mktemp("runs")

    def folder(objective):
        if objective not in done:
            assert study(pairs_csv, root / objective, "--steps", 2, "--objective", objective) == 0
            done[objective] = root / objective
        return done[objective]

    return folder


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_run_is_loaded_and_does_zero_shot_and_other_libraries_get_only_contrastive_ones(
    objective, trained, pairs_csv, tmp_path
):
    path = trained(objective) / "checkpoint.pt"
    model, tokenizer, _ = miniclip.load(path)
    assert type(model) is OBJECTIVES[objective]
    assert model.config.get("objective", "contrastive") == objective
    saved = checkpoint.load(path)["model"]
    assert all(torch.equal(x, saved[name]) for name, x in model.state_dict().items())
    images = pairs_csv.parent / "pictures"
    where = ["--checkpoint", path, "--images", images, "--out", tmp_path, "--task", "zero_shot"]
    assert evaluate.main([str(a) for a in where]) == 0
    found = json.loads((tmp_path / "results.json").read_text())["zero_shot"]
    assert found["bare name"]["n"] == 40
    for write in (save_openclip, save_huggingface) if objective != "contrastive" else ():
        must_refuse(objective, write, model, tmp_path / "x.pt")


@pytest.mark.parametrize("objective", APART)
def test_without_a_shared_space_the_rest_is_refused_in_one_sentence(objective, trained, refused):
    path = trained(objective) / "checkpoint.pt"
    for more in (["--search", "red"], ["--task", "retrieval"], ["--checkpoint", path]):
        assert objective in refused(evaluate.main, "--checkpoint", path, *more)
    for command in (["index", path.parent], ["embed", path.parent, path.parent / "x.npz"]):
        assert objective in refused(search.main, *command, "--checkpoint", path)
    model, tokenizer, _ = miniclip.load(path)
    must_refuse("zero-shot only", model.encode_text, tokenizer(["red"]))


@pytest.mark.slow
@pytest.mark.parametrize("projection", [(), ("--projection", "linear")])
def test_contrastive_training_is_that_of_train_py(projection, pairs_csv, tmp_path):
    run(pairs_csv, tmp_path / "plain", "--steps", 2)
    study(pairs_csv, tmp_path / "named", "--steps", 2, *projection)
    assert_same_weights(tmp_path / "plain", tmp_path / "named")
    assert final(tmp_path / "plain")["config"] == final(tmp_path / "named")["config"]


@pytest.mark.parametrize(
    "objective, more",
    [
        ("masked_words", ()),
        pytest.param("ngrams", (), marks=pytest.mark.slow),
        pytest.param("contrastive", ("--augment", "convirt"), marks=pytest.mark.slow),
        pytest.param("contrastive", ("--one-sentence",), marks=pytest.mark.slow),
    ],
)
def test_stopped_and_resumed_the_weights_are_the_same(
    objective, more, pairs_csv, tmp_path, monkeypatch
):
    if "--one-sentence" in more:  # a caption of one sentence would train as without the option
        captions = pairs_csv.read_text().replace("\n", ". It is a shape.\n")
        pairs_csv = pairs_csv.with_name("sentences.csv")
        pairs_csv.write_text(captions.replace("caption. It is a shape.", "caption"))
    kind = OBJECTIVES[objective]
    options = ("--objective", objective, "--steps", 4, *more)
    loss = "features_loss" if kind.shared_space else "pair_losses"
    how = dict(main=objectives.main, owner=kind, name=loss)
    stopped_and_resumed(pairs_csv, tmp_path, monkeypatch, *options, **how)
    if more:  # the option changes what is learned
        study(pairs_csv, tmp_path / "plain", *options[:4])
        name = "visual.conv1.weight"
        plain, own = (final(tmp_path / run)["model"][name] for run in ("plain", "whole"))
        assert not torch.equal(plain, own)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--objective", "captions"], ["captions", "captioning"]),
        (["--objective", "captioning", "--model", "vit_mini"], ["captioning", "ResNet"]),
        (["--projection", "mlp", "--objective", "ngrams"], ["--projection mlp", "ngrams"]),
        (["--temperature", "0.1", "--objective", "ngrams"], ["--temperature", "ngrams"]),
        (["--objective", "ngrams", "--compile"], ["--compile"]),
        (["--objective", "ngrams", "--micro-batch", "4"], ["--micro-batch"]),
        (["--objective", "sigmoid", "--eval-every", "2"], ["--eval-every"]),
        (["--objective", "ngrams", "--plan"], ["miniclip.cost"]),
    ],
)
def test_what_does_not_go_together_is_refused(arguments, words, pairs_csv, tmp_path, refused):
    said = refused(objectives.main, *on(pairs_csv, tmp_path / "run", "--steps", 1, *arguments))
    assert all(word in said for word in words), said
    assert "--one-sentence" in refused(objectives.main, "--one-sentence", "--out", tmp_path / "run")


def test_another_objective_than_that_of_the_weights_is_refused(
    trained, pairs_csv, tmp_path, refused
):
    init = ["--init", trained("ngrams") / "checkpoint.pt", "--steps", 1]
    said = refused(objectives.main, *on(pairs_csv, tmp_path, *init, "--objective", "contrastive"))
    assert "ngrams, not contrastive" in said
    assert "ngrams is trained by" in refused(train.main, *on(pairs_csv, tmp_path, *init))
    assert study(pairs_csv, tmp_path / "b", *init) == 0
    assert final(tmp_path / "b")["config"]["objective"] == "ngrams"
    resumed = ("--out", tmp_path / "b", "--resume")
    assert "ngrams is trained by" in refused(train.main, *resumed)
    said = refused(objectives.main, *resumed, "--objective", "contrastive")
    assert "--objective ngrams, and this command gives contrastive" in said


def test_a_log_without_features_has_neither_scale_nor_accuracy(trained):
    lines = [log(trained(objective))[-1] for objective in ("ngrams", "contrastive")]
    keys = ("scale", "accuracy")
    assert [[key in line for key in keys] for line in lines] == [[0, 0], [1, 1]]


@pytest.mark.slow
def test_a_projection_by_an_mlp_is_trained_loaded_and_frozen_with_its_tower(pairs_csv, tmp_path):
    assert study(pairs_csv, tmp_path / "run", "--steps", 2, "--projection", "mlp") == 0
    path = tmp_path / "run/checkpoint.pt"
    model, *_ = miniclip.load(path)
    assert model.config["projection"] == "mlp" and "heads.image.1.weight" in model.state_dict()
    images = torch.randn(2, 3, 48, 48)
    by_hand = model.heads["image"][1](model.visual(images).relu())
    assert torch.equal(model.encode_image(images), by_hand)
    must_refuse("--projection mlp", save_openclip, model, tmp_path / "x.pt")
    tuned = tmp_path / "tuned"
    assert run(pairs_csv, tuned, "--steps", 1, "--init", path, "--freeze", "image") == 0
    before, after = (checkpoint.load(p)["model"] for p in (path, tuned / "checkpoint.pt"))
    same = {name for name, x in before.items() if torch.equal(x, after[name])}
    assert "heads.image.1.weight" in same and "heads.text.1.weight" not in same


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("--micro-batch", 3)])
def test_a_fixed_temperature_stays_and_the_rest_is_trained(more, pairs_csv, tmp_path):
    options = ("--temperature", 0.2, "--steps", 2, "--save-every", 1, "--log-every", 1, *more)
    assert run(pairs_csv, tmp_path / "run", *options) == 0
    state = final(tmp_path / "run")
    assert state["model"]["logit_scale"].exp().item() == pytest.approx(5, rel=1e-6)
    assert [line["scale"] for line in log(tmp_path / "run")] == pytest.approx([5, 5], rel=1e-6)
    assert all(entry["step"] == 2 for entry in state["optimizer"]["state"].values())
    lengthen(tmp_path / "run", 3)
    assert resume(tmp_path / "run") == 0
    after = final(tmp_path / "run")
    assert torch.equal(after["model"]["logit_scale"], state["model"]["logit_scale"])
    name = "text_projection"
    assert after["step"] == 3 and not torch.equal(after["model"][name], state["model"][name])


@pytest.mark.slow
@pytest.mark.parametrize("objective", list(OBJECTIVES)[1:])
def test_the_other_options_of_training_work_with_it(objective, trained, pairs_csv, tmp_path):
    """Grad checkpointing gives the same losses; towers and moments of 16 bits train."""
    want = [line["loss"] for line in log(trained(objective))]
    sixteen = ("--precision", "bf16", "--half-moments")  # 8 bits of each number
    for options, error in ((("--grad-checkpointing",), 1e-4), (sixteen, 0.2)):
        out = tmp_path / options[0]
        study(pairs_csv, out, "--steps", 2, "--objective", objective, *options)
        assert [line["loss"] for line in log(out)] == pytest.approx(want, rel=error)
