"""train.py --init and --freeze: what a run starts from, what it leaves alone, what is refused."""

import functools
import json

import pytest
import torch
from safetensors.torch import save_file
from torch._dynamo.testing import CompileCounterWithBackend

import miniclip
import train
from miniclip.bpe import Tokenizer
from miniclip.model.clip import MODELS
from miniclip.model.vit import resize_positions
from miniclip.training import checkpoint
from miniclip.training.freeze import tower_of
from tests.runs import final, on, run, stopped_and_resumed


@pytest.fixture(scope="module", autouse=True)
def no_report():
    """It takes longer than these runs, and other tests have it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "report", lambda *args: None)
        yield


@pytest.fixture(scope="module")
def starts(pairs_csv, tmp_path_factory):
    """The checkpoints of two short runs: {model: path}."""
    folder = tmp_path_factory.mktemp("starts")
    for model in ("rn_mini", "vit_mini"):
        run(pairs_csv, folder / model, "--model", model, "--steps", 4, "--seed", 3)
    return {model: folder / model / "checkpoint.pt" for model in ("rn_mini", "vit_mini")}


@pytest.mark.parametrize("start", ["a checkpoint", "icons"])
def test_it_starts_from_the_weights_and_the_vocabulary_of_a_checkpoint(
    start, pairs_csv, starts, tmp_path, capsys
):
    start = starts["rn_mini"] if start == "a checkpoint" else start
    run(pairs_csv, tmp_path / "run", "--init", start, "--steps", 1, "--lr", 1e-30)
    assert f"fine-tuned from {start}" in capsys.readouterr().out
    (model, tokenizer, _), after = miniclip.load(start), final(tmp_path / "run")
    for name, x in model.state_dict().items():
        if not name.endswith(("running_mean", "running_var", "num_batches_tracked")):
            torch.testing.assert_close(after["model"][name], x, rtol=0, atol=1e-20, msg=name)
    assert Tokenizer.from_state(after["tokenizer"]).state() == tokenizer.state()
    assert after["config"] == model.config
    assert after["options"]["init"] == str(start)
    assert after["options"]["model"] == model.config["name"]


pytestmark = pytest.mark.usefixtures("signals_and_threads_as_before")
ROWS = [
    ("rn_mini", "image", ("--micro-batch", 3, "--grad-checkpointing", "--half-moments")),
    ("vit_mini", "text", ("--micro-batch", 3, "--grad-checkpointing", "--half-moments")),
    ("vit_mini", "image", ("--grad-checkpointing", "--precision", "bf16")),
    pytest.param("rn_mini", "image", ("--compile",), marks=pytest.mark.slow),
    pytest.param("vit_mini", "text", ("--compile",), marks=pytest.mark.slow),
]


@pytest.mark.parametrize("model, tower, more", ROWS)
def test_a_frozen_tower_is_bit_for_bit_what_it_was(
    model, tower, more, pairs_csv, starts, tmp_path, monkeypatch
):
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("aot_eager")
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=counter))
    options = ("--init", starts[model], "--freeze", tower, "--steps", 3, "--weight-decay", 0.5)
    assert run(pairs_csv, tmp_path / "run", *options, *more) == 0
    assert (counter.frame_count > 0) == ("--compile" in more)
    before, after = checkpoint.load(starts[model])["model"], final(tmp_path / "run")
    frozen = {name for name in before if tower_of(name) == tower}
    same = {name for name, x in before.items() if torch.equal(x, after["model"][name])}
    assert frozen and frozen <= same, f"changed: {sorted(frozen - same)[:3]}"
    still = [name for name in same - frozen if before[name].ndim > 1]
    assert not still and "logit_scale" not in same, f"did not learn: {still[:3]}"
    trained = [n for n, _ in miniclip.load(starts[model])[0].named_parameters()]
    learn = sum(tower_of(name) != tower for name in trained)
    assert len(after["optimizer"]["state"]) == learn


def test_stopped_and_resumed_the_weights_are_the_same_tensors(
    pairs_csv, starts, tmp_path, monkeypatch
):
    """The file that it started from is not needed again."""
    kept, gone = starts["rn_mini"], tmp_path / "gone.pt"
    gone.write_bytes(kept.read_bytes())

    def main(arguments):
        if "--resume" in arguments:
            gone.unlink()
        return train.main(arguments)

    options = ("--init", gone, "--steps", 8, "--freeze", "image", "--micro-batch", 3)
    stopped_and_resumed(pairs_csv, tmp_path, monkeypatch, *options, main=main)
    assert not gone.exists()


def test_the_same_towers_may_take_larger_pictures(pairs_csv, starts, tmp_path, monkeypatch):
    """As the paper's L/14@336 from L/14: the positions are interpolated, the rest is the file's."""
    monkeypatch.setitem(MODELS, "vit_mini_96", MODELS["vit_mini"] | dict(image_size=96))
    options = ("--init", starts["vit_mini"], "--model", "vit_mini_96", "--steps", 1, "--lr", 1e-30)
    run(pairs_csv, tmp_path / "run", *options)
    before, after = checkpoint.load(starts["vit_mini"])["model"], final(tmp_path / "run")
    assert after["config"]["image_size"] == 96 and after["config"]["name"] == "vit_mini_96"
    name = "visual.positional_embedding"
    assert len(after["model"][name]) == 37 and len(before[name]) == 17
    wanted = resize_positions(before[name], 6)
    torch.testing.assert_close(after["model"][name], wanted, rtol=0, atol=1e-20)
    assert torch.equal(after["model"]["visual.conv1.weight"], before["visual.conv1.weight"])


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--init", "nowhere.pt"], ["nowhere.pt"]),
        (["--init", "{csv}"], ["pairs.csv"]),
        (["--init", "{start}", "--model", "vit_mini"], ["--init", "other towers", "vit_mini"]),
        (["--init", "{start}", "--model", "rn_mimi"], ["rn_mimi", "rn_mini"]),
        (["--init", "{start}", "--activation", "gelu"], ["trained with quickgelu", "gelu"]),
        (["--init", "{start}", "--freeze", "both"], ["both", "image"]),
        # save_openclip records a learned vocabulary by its digest only: nobody has its merges
        (["--init", "{bare}"], ["tokens"]),
    ],
)
def test_what_cannot_be_fine_tuned_is_one_sentence_and_exit_code_2(
    arguments, words, pairs_csv, starts, tmp_path, refused
):
    held, bare = checkpoint.load(starts["rn_mini"]), tmp_path / "weights.safetensors"
    save_file(held["model"], bare, metadata={"miniclip": json.dumps(held["config"])})
    known = dict(csv=pairs_csv, start=starts["rn_mini"], bare=bare)
    arguments = [a.format(**known) for a in arguments]
    said = refused(train.main, *on(pairs_csv, tmp_path / "run", *arguments))
    assert all(word in said for word in words), said
