"""train.py: it learns, resumes bit for bit, and refuses wrong input in one sentence."""

import functools
import json
import math
import random
import threading
import weakref

import numpy as np
import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

import train
from miniclip.bpe import Tokenizer
from miniclip.data import open_pairs
from miniclip.training import checkpoint
from tests.runs import at_loss, final, log, on, run, stopped_and_resumed

pytestmark = pytest.mark.usefixtures("signals_and_threads_as_before")


def test_a_run_learns_and_writes_its_files(pairs_csv, tmp_path):
    assert run(pairs_csv, tmp_path / "run", "--steps", 60, "--log-every", 10) == 0
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert left >= {"checkpoint.pt", "log.jsonl", "curves.png", "results.json"}
    lines = log(tmp_path / "run")
    first, last = lines[0]["loss"], lines[-1]["loss"]
    assert last < 0.6 * first, f"the loss went from {first:.3f} to {last:.3f}"
    found = final(tmp_path / "run")
    assert found["config"]["tokenizer"] == Tokenizer.from_state(found["tokenizer"]).digest
    pairs = open_pairs(str(pairs_csv))
    learned = sorted(h for i in pairs.splits["train"] for h in pairs.hashes_of(i))
    assert found["learned"].tolist() == learned
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert results["steps"] == 60 and results["seed"] == 0
    assert results["command"].startswith("python train.py --data "), "the words that main was given"
    heldout = results["heldout"]["text_to_image"]
    assert set(heldout) >= {"R@1", "R@5", "R@10", "median_rank", "n", "gallery"}


@pytest.mark.parametrize(
    "more",
    [(), pytest.param(("--half-moments", "--micro-batch", 3), marks=pytest.mark.slow)],
    ids=["plain", "half moments and micro-batches"],
)
def test_stopped_and_resumed_the_weights_are_the_same_tensors(
    more, pairs_csv, tmp_path, monkeypatch
):
    stopped_and_resumed(pairs_csv, tmp_path, monkeypatch, "--steps", 12, *more)
    steps = [line["step"] for line in log(tmp_path / "parts")]
    assert steps == sorted(set(steps)) and steps[-1] == 12


@pytest.mark.slow
def test_training_draws_nothing_from_the_global_generators(pairs_csv, tmp_path, monkeypatch):
    """So a checkpoint holds no random state."""
    real, states = train.contrastive_loss, []

    def loss(*args):
        states.append((torch.get_rng_state(), random.getstate(), np.random.get_state()))
        return real(*args)

    monkeypatch.setattr(train, "contrastive_loss", loss)
    more = ("--half-moments", "--grad-checkpointing", "--micro-batch", 3, "--workers", 1)
    run(pairs_csv, tmp_path / "run", "--model", "vit_mini", "--steps", 3, "--save-every", 1, *more)
    (first, *of_python), (last, *of_python_last) = states[0], states[-1]
    assert len(states) == 3 and torch.equal(first, last)
    assert repr(of_python) == repr(of_python_last)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--model", "vit_b23"], ["vit_b23", "vit_b32"]),
        (["--batch-size", "0"], ["batch-size", "at least 1", "'0'"]),
        (["--lr", "nan"], ["lr", "nan"]),
        (["--data", "nowhere.csv"], ["nowhere.csv"]),
        (["--steps", "3", "--epochs", "2"], ["not allowed with"]),
        (["--warmup", "2"], ["warmup", "at most 1"]),
        (["--temperature", "0.009"], ["--temperature", "at least 0.01"]),
        (["--device", "cuda:99"], ["cuda:99"]),
        (["--tokenizer", "mine"], ["mine", "openai"]),
        (["--no-such-option"], ["no-such-option"]),
        (["--gpu", "h100"], ["--plan"]),
        (["--objective", "captions"], ["captions", "contrastive_bow", "sigmoid"]),
        (["--objective", "ngrams"], ["ngrams", "lessons/studies/objectives.py"]),
        (["--projection=mlp"], ["--projection", "lessons/studies/objectives.py"]),
        (["--one-sentence"], ["--one-sentence", "lessons/studies/objectives.py"]),
        (["--augment", "convirt"], ["convirt", "lessons/studies/objectives.py"]),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_code_2(arguments, words, tmp_path, refused):
    said = refused(train.main, "--out", tmp_path / "run", *arguments)
    assert all(word in said for word in words), said


def test_another_runs_folder_is_refused_and_untouched(pairs_csv, tmp_path, refused):
    run(pairs_csv, tmp_path / "run", "--steps", 2)
    before = (tmp_path / "run/checkpoint.pt").read_bytes()
    for more, word in (
        ([], "--resume"),
        (["--resume", "--model", "vit_mini"], "--model"),
        (["--resume", "--steps", "9"], "--steps"),
        (["--resume", "--weight-decay", "0"], "--weight-decay"),  # a given 0 counts
        (["--resume", "--epochs", "2"], "without --epochs"),
        (
            ["--resume", "--tokenizer", "openai"],
            "without --tokenizer, and this command gives openai",
        ),
    ):
        assert word in refused(train.main, *on(pairs_csv, tmp_path / "run", *more))
    assert (tmp_path / "run/checkpoint.pt").read_bytes() == before


@pytest.mark.slow
def test_the_released_vocabulary_is_trained_with_and_kept_on_resumption(pairs_csv, tmp_path):
    run(pairs_csv, tmp_path / "run", "--minutes", 0.001, "--tokenizer", "openai")
    before = final(tmp_path / "run")
    before["config"].pop("tokenizer")  # as a checkpoint was before it was one of the keys
    checkpoint.save(tmp_path / "run/checkpoint.pt", before)
    run(pairs_csv, tmp_path / "run", "--resume", "--tokenizer", "openai")
    after = final(tmp_path / "run")
    assert after["config"]["tokenizer"] == "openai" and after["config"]["vocab_size"] == 49408
    tokenizer = Tokenizer.from_state(after["tokenizer"])
    assert tokenizer.digest == "openai" and tokenizer.context_length == 32  # rn_mini's


def test_training_goes_on_while_a_checkpoint_is_written(pairs_csv, tmp_path, monkeypatch):
    """Fails where the loop waits for the disk: the write waits for the next step, in vain."""
    real_save, next_step, in_time = checkpoint.save, threading.Event(), []

    def save(*args):
        in_time.append(next_step.wait(20))
        real_save(*args)

    monkeypatch.setattr(checkpoint, "save", save)
    at_loss(monkeypatch, 3, next_step.set)
    assert run(pairs_csv, tmp_path / "run", "--steps", 4, "--save-every", 2) == 0
    assert all(in_time) and final(tmp_path / "run")["step"] == 4


@pytest.mark.slow
def test_a_resumed_run_does_not_keep_the_checkpoint_in_memory(pairs_csv, tmp_path, monkeypatch):
    """Fails where main holds what it loaded: a second copy of all weights."""
    run(pairs_csv, tmp_path / "run", "--minutes", 0.001)
    real_load, loaded, alive = checkpoint.load, [], []

    def load(*args):
        state = real_load(*args)
        loaded.extend(weakref.ref(tensor) for tensor in state["model"].values())
        state["seconds"] = 0.0  # there is time for more
        return state

    def count():
        alive.append(sum(tensor() is not None for tensor in loaded))

    monkeypatch.setattr(checkpoint, "load", load)
    at_loss(monkeypatch, 1, count)
    assert run(pairs_csv, tmp_path / "run", "--resume") == 0
    assert len(loaded) > 20 and alive == [0], f"{alive} of {len(loaded)} weights"


@pytest.mark.parametrize("bad, ends_well", [(3, True), (50, False)])
def test_steps_without_a_finite_gradient_are_skipped_and_counted(
    bad, ends_well, pairs_csv, tmp_path, monkeypatch, refused
):
    real, calls = train.contrastive_loss, []

    def breaks(image, text, logit_scale):
        calls.append(1)
        return real(image, text, logit_scale) * (math.nan if 4 <= len(calls) < 4 + bad else 1)

    monkeypatch.setattr(train, "contrastive_loss", breaks)
    options = ("--steps", 8 if ends_well else 30, "--save-every", 1)
    if ends_well:
        assert run(pairs_csv, tmp_path / "run", *options) == 0
        assert final(tmp_path / "run")["skipped_steps"] == bad
    else:
        said = refused(train.main, *on(pairs_csv, tmp_path / "run", *options))
        assert "no finite gradient" in said
        assert final(tmp_path / "run")["step"] == 3
    weights = final(tmp_path / "run")["model"].values()
    assert all(w.isfinite().all() for w in weights if w.is_floating_point())


def test_a_skipped_step_leaves_the_batch_norm_averages_as_they_were(
    pairs_csv, tmp_path, monkeypatch
):
    """Pixels that overflow spoil the averages in the forward pass, and the loss with them."""
    real, states = train.prepared_parts, []

    def overflowing(batch, config, device):
        parts, to_device = real(batch, config, device)
        states.append(1)
        spoil = math.inf if len(states) == 2 else 1
        return parts, lambda part: (to_device(part)[0] * spoil, to_device(part)[1])

    monkeypatch.setattr(train, "prepared_parts", overflowing)
    assert run(pairs_csv, tmp_path / "run", "--steps", 3, "--model", "rn_mini") == 0
    state = final(tmp_path / "run")
    assert state["skipped_steps"] == 1 and state["step"] == 3
    assert all(w.isfinite().all() for w in state["model"].values() if w.is_floating_point())
    assert state["model"]["visual.bn1.num_batches_tracked"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("model", ["vit_mini", "rn_mini"])
def test_captions_of_many_lengths_are_compiled_once(model, pairs_csv, tmp_path, monkeypatch):
    longer = pairs_csv.with_name("longer.csv")
    rows = [line.split(",") for line in pairs_csv.read_text().splitlines()]
    for k, row in enumerate(rows[1:]):
        row[1] = " ".join([row[1]] * (1 + k % 5))
    longer.write_text("\n".join(map(",".join, rows)))
    real, lengths, compiled = train.Tokenizer.__call__, [], CompileCounterWithBackend("aot_eager")

    def tokenize(*args, **how):
        tokens = real(*args, **how)
        lengths.append(tokens.shape[1])
        return tokens

    monkeypatch.setattr(train.Tokenizer, "__call__", tokenize)
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=compiled))
    torch._dynamo.reset()
    options = ("--model", model, "--batch-size", 2, "--steps", 8, "--compile")
    assert run(longer, tmp_path / "run", *options) == 0
    assert len(set(lengths[:8])) >= 4, lengths
    assert compiled.frame_count == 1, f"{compiled.frame_count} graphs for lengths {lengths[:8]}"


@pytest.mark.slow
def test_vit_b32_takes_two_steps_on_a_cpu(pairs_csv, tmp_path):
    assert run(pairs_csv, tmp_path / "run", "--model", "vit_b32", "--steps", 2) == 0
    assert final(tmp_path / "run")["config"]["vision_width"] == 768
