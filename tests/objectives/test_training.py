"""train.py --objective, miniclip.load and eval.py take every objective, or refuse in one sentence."""

import json
import signal

import pytest
import torch
from PIL import Image

import eval as evaluate
import miniclip
import train
from miniclip.common import UserError
from miniclip.objectives import OBJECTIVES, shared_space
from miniclip.search import __main__ as search
from miniclip.training import checkpoint
from miniclip.weights import save_huggingface, save_openclip

APART = [name for name, kind in OBJECTIVES.items() if not kind.shared_space]
FAST = "contrastive", "sigmoid", "ngrams"
COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "pink", "brown")


def each(names):
    """The objectives as parameters; those that others stand for are slow."""
    marks = {name: () if name in FAST else pytest.mark.slow for name in names}
    return [pytest.param(name, marks=marks[name]) for name in names]


@pytest.fixture(scope="module")
def pairs_csv(tmp_path_factory):
    """24 pictures of one colour in three sizes, each with its name, in a folder a colour."""
    folder = tmp_path_factory.mktemp("pairs")
    lines = ["filepath,caption"]
    for colour in COLOURS:
        (folder / "pictures" / colour).mkdir(parents=True)
        for size, word in ((40, "small"), (44, "wide"), (48, "large")):
            path = folder / "pictures" / colour / f"{word}.png"
            Image.new("RGB", (size, 40), colour).save(path)
            lines.append(f"{path.relative_to(folder)},{word} {colour}")
    (folder / "pairs.csv").write_text("\n".join(lines) + "\n")
    return folder / "pairs.csv"


def run(pairs_csv, out, *more):
    arguments = ["--data", pairs_csv, "--out", out, "--batch-size", 8, "--threads", 1]
    return train.main([str(a) for a in (*arguments, "--log-every", 1, *more)])


@pytest.fixture(scope="module")
def trained(pairs_csv, tmp_path_factory):
    """{objective: folder of a run of two steps}, trained when it is first asked for."""
    done, root = {}, tmp_path_factory.mktemp("runs")

    def folder(objective):
        if objective not in done:
            assert run(pairs_csv, root / objective, "--steps", 2, "--objective", objective) == 0
            done[objective] = root / objective
        return done[objective]

    return folder


@pytest.mark.parametrize("objective", each(OBJECTIVES))
def test_a_run_is_loaded_and_does_zero_shot(objective, trained, pairs_csv, tmp_path, capsys):
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
    assert found["bare name"]["n"] == 24 and 0 <= found["bare name"]["accuracy"] <= 1


@pytest.mark.parametrize("objective", each(APART))
def test_without_a_shared_space_the_rest_is_refused_in_one_sentence(objective, trained, capsys):
    path = str(trained(objective) / "checkpoint.pt")
    for more in (["--search", "red"], ["--task", "retrieval"], ["--average-with", path]):
        with pytest.raises(SystemExit) as stop:
            evaluate.main(["--checkpoint", path, *more])
        said = capsys.readouterr().err
        assert stop.value.code == 2 and objective in said and said.count("\n") == 1, said
    own = str(trained(objective))
    for command in (["index", own], ["embed", own, own + "/features.npz"]):
        with pytest.raises(SystemExit) as stop:
            search.main([*command, "--checkpoint", path])
        said = capsys.readouterr().err
        assert stop.value.code == 2 and objective in said and said.count("\n") == 1, said
    model, tokenizer, _ = miniclip.load(path)
    with pytest.raises(UserError, match="zero-shot only"):
        model.encode_text(tokenizer(["red"]))


@pytest.mark.parametrize("objective", each(list(OBJECTIVES)[1:]))
def test_other_libraries_get_no_such_model(objective, trained, tmp_path):
    model, *_ = miniclip.load(trained(objective) / "checkpoint.pt")
    for write in (save_openclip, save_huggingface):
        with pytest.raises(UserError, match=objective):
            write(model, tmp_path / "x.pt")


def test_the_default_is_contrastive_and_changes_no_weight(trained, pairs_csv, tmp_path):
    run(pairs_csv, tmp_path / "plain", "--steps", 2)
    plain, named = (
        checkpoint.load(folder / "checkpoint.pt")
        for folder in (tmp_path / "plain", trained("contrastive"))
    )
    assert all(torch.equal(x, named["model"][name]) for name, x in plain["model"].items())
    assert "objective" not in plain["config"]


@pytest.mark.parametrize(
    "objective", ["masked_words", *(pytest.param(n, marks=pytest.mark.slow) for n in FAST[1:3])]
)
def test_stopped_and_resumed_the_weights_are_the_same(objective, pairs_csv, tmp_path, monkeypatch):
    more = ("--objective", objective, "--steps", 4)
    run(pairs_csv, tmp_path / "whole", *more)
    real, calls = train.train_step, []

    def interrupted(*args):
        calls.append(1)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGTERM)
        return real(*args)

    monkeypatch.setattr(train, "train_step", interrupted)
    assert run(pairs_csv, tmp_path / "parts", *more) == 128 + signal.SIGTERM
    assert train.main(["--out", str(tmp_path / "parts"), "--resume", "--threads", "1"]) == 0
    whole, parts = (
        checkpoint.load(tmp_path / name / "checkpoint.pt") for name in ("whole", "parts")
    )
    assert whole["step"] == parts["step"] == 4
    assert all(torch.equal(x, parts["model"][name]) for name, x in whole["model"].items())


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--objective", "captions"], ["captions", "captioning"]),
        (["--objective", "sigmoid", "--micro-batch", "4"], ["--micro-batch", "sigmoid"]),
        (["--objective", "ngrams", "--compile"], ["--compile", "ngrams"]),
        (["--objective", "captioning", "--model", "vit_mini"], ["captioning", "ResNet"]),
        (["--objective", "captioning", "--plan"], ["--plan", "captioning"]),
        (["--projection", "mlp", "--plan"], ["--plan", "mlp"]),
        (["--projection", "mlp", "--objective", "ngrams"], ["--projection mlp", "ngrams"]),
        (["--temperature", "0.1", "--objective", "ngrams"], ["--temperature", "ngrams"]),
        (["--temperature", "0.009"], ["--temperature", "at least 0.01"]),
    ],
)
def test_what_does_not_go_together_is_refused(arguments, words, pairs_csv, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        run(pairs_csv, tmp_path / "run", "--steps", 1, *arguments)
    said = capsys.readouterr().err
    assert stop.value.code == 2 and all(word in said for word in words), said


def test_another_objective_than_that_of_the_weights_is_refused(
    trained, pairs_csv, tmp_path, capsys
):
    init = ["--init", trained("bag_of_words") / "checkpoint.pt", "--steps", 1]
    with pytest.raises(SystemExit):
        run(pairs_csv, tmp_path / "a", *init, "--objective", "contrastive")
    assert "bag_of_words, not contrastive" in capsys.readouterr().err
    assert run(pairs_csv, tmp_path / "b", *init) == 0
    assert checkpoint.load(tmp_path / "b/checkpoint.pt")["config"]["objective"] == "bag_of_words"
    with pytest.raises(SystemExit):
        train.main(["--out", str(tmp_path / "b"), "--resume", "--objective", "contrastive"])
    assert "--objective bag_of_words, not with contrastive" in capsys.readouterr().err


@pytest.mark.parametrize("objective", ["sigmoid", *APART])
def test_several_processes_are_refused(objective, monkeypatch):
    monkeypatch.setattr(train, "dist_info", lambda: (0, 2))
    args = train.options(["--objective", objective])
    with pytest.raises(UserError, match=f"{objective} trains in one process"):
        train.resolve_options(args, None, None, torch.device("cpu"))


def test_a_log_without_features_has_neither_scale_nor_accuracy(trained):
    lines = (trained("ngrams") / "log.jsonl").read_text().splitlines()
    line = json.loads(lines[-1])
    assert "scale" not in line and "accuracy" not in line and line["objective"] == "ngrams"
    line = json.loads((trained("contrastive") / "log.jsonl").read_text().splitlines()[-1])
    assert "scale" in line and "accuracy" in line and "objective" not in line
    assert shared_space(miniclip.load("icons")[0])


def test_a_run_of_before_there_was_a_choice_goes_on_as_contrastive(pairs_csv, tmp_path):
    run(pairs_csv, tmp_path / "run", "--minutes", 0.0001)
    old = checkpoint.load(tmp_path / "run/checkpoint.pt")
    del old["options"]["objective"]
    old["options"] |= {"minutes": None, "steps": 2}
    checkpoint.save(tmp_path / "run/checkpoint.pt", old)
    run(pairs_csv, tmp_path / "run", "--resume", "--objective", "contrastive")
    after = checkpoint.load(tmp_path / "run/checkpoint.pt")
    assert after["step"] == 2 and after["options"]["objective"] == "contrastive"


@pytest.mark.slow
def test_a_projection_by_an_mlp_is_trained_loaded_and_frozen_with_its_tower(pairs_csv, tmp_path):
    assert run(pairs_csv, tmp_path / "run", "--steps", 2, "--projection", "mlp") == 0
    path = tmp_path / "run/checkpoint.pt"
    model, *_ = miniclip.load(path)
    assert model.config["projection"] == "mlp" and "heads.image.1.weight" in model.state_dict()
    images = torch.randn(2, 3, 48, 48)
    by_hand = model.heads["image"][1](model.visual(images).relu())
    assert torch.equal(model.encode_image(images), by_hand)
    with pytest.raises(UserError, match="--projection mlp"):
        save_openclip(model, tmp_path / "x.pt")
    tuned = tmp_path / "tuned"
    assert run(pairs_csv, tuned, "--steps", 1, "--init", path, "--freeze", "image") == 0
    before, after = (checkpoint.load(p)["model"] for p in (path, tuned / "checkpoint.pt"))
    same = {name for name, x in before.items() if torch.equal(x, after[name])}
    assert "heads.image.1.weight" in same and "heads.text.1.weight" not in same


@pytest.mark.parametrize("more", [(), pytest.param(("--micro-batch", 3), marks=pytest.mark.slow)])
def test_a_fixed_temperature_stays_and_the_rest_is_trained(more, pairs_csv, tmp_path):
    options = ("--temperature", 0.2, "--steps", 2, "--save-every", 1, *more)
    assert run(pairs_csv, tmp_path / "run", *options) == 0
    state = checkpoint.load(tmp_path / "run/checkpoint.pt")
    assert state["model"]["logit_scale"].exp().item() == pytest.approx(5, rel=1e-6)
    first, last = (tmp_path / "run/log.jsonl").read_text().splitlines()
    assert json.loads(first)["scale"] == json.loads(last)["scale"] == pytest.approx(5, rel=1e-6)
    assert all(entry["step"] == 2 for entry in state["optimizer"]["state"].values())
    state["options"]["steps"] = 3
    checkpoint.save(tmp_path / "run/checkpoint.pt", state)
    assert train.main(["--out", str(tmp_path / "run"), "--resume", "--threads", "1"]) == 0
    after = checkpoint.load(tmp_path / "run/checkpoint.pt")
    assert torch.equal(after["model"]["logit_scale"], state["model"]["logit_scale"])
    name = "text_projection"
    assert after["step"] == 3 and not torch.equal(after["model"][name], state["model"][name])


@pytest.mark.slow
@pytest.mark.parametrize("objective", list(OBJECTIVES)[1:])
def test_the_other_options_of_training_work_with_it(objective, trained, pairs_csv, tmp_path):
    """Grad checkpointing gives the same losses; 16 bits, moments of 16 bits and micro-batches train."""

    def losses(folder):
        return [json.loads(line)["loss"] for line in (folder / "log.jsonl").open()]

    more = ("--steps", 2, "--objective", objective)
    run(pairs_csv, tmp_path / "again", *more, "--grad-checkpointing")
    assert losses(tmp_path / "again") == pytest.approx(losses(trained(objective)), rel=1e-4)
    micro = () if objective == "sigmoid" else ("--micro-batch", 3)
    run(pairs_csv, tmp_path / "bits", *more, *micro, "--precision", "bf16", "--half-moments")
    # batch norm sees three pairs instead of eight, and 8 bits of each number
    assert losses(tmp_path / "bits") == pytest.approx(losses(trained(objective)), rel=0.2)
    model = checkpoint.load(tmp_path / "bits/checkpoint.pt")["model"]
    assert all(x.isfinite().all() for x in model.values())
