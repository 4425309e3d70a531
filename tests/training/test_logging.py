"""The header and the lines of a run: what is printed and logged, when, and how numbers are counted."""

import math
from types import SimpleNamespace

import pytest
import torch

from miniclip.training import logging
from miniclip.training.logging import (
    RunLog,
    chance_is_log_n,
    in_batch_accuracy,
    print_header,
    read_log,
)


@pytest.mark.parametrize(
    "emulated, device, lines", [(True, "cpu", 2), (True, "cuda", 1), (False, "cpu", 1)]
)
def test_only_a_cpu_that_emulates_the_precision_is_said_to(
    emulated, device, lines, capsys, monkeypatch
):
    monkeypatch.setattr(logging, "emulates", lambda precision: emulated)
    config = SimpleNamespace(model="rn_mini", objective="contrastive", precision="bf16", init=None)
    pairs = SimpleNamespace(name="emoji", splits={"train": range(1234)})
    words = SimpleNamespace(vocab_size=2014)
    device = SimpleNamespace(type=device)
    print_header(config, torch.nn.Linear(3, 4), words, pairs, progress(0), device)
    said = capsys.readouterr().out
    assert said.count("\n") == lines and "16 parameters" in said and "1,234 pairs" in said


def progress(step, **how):
    """A monitor of a run of 40 steps, 8 an epoch, in batches of 100."""
    numbers = dict(
        step=step,
        steps=40,
        steps_per_epoch=8,
        batch_size=100,
        budget_s=math.inf,
        seconds=0,
        done=step == 40,
        skipped_steps=0,
        skipped={},
    )
    return SimpleNamespace(**numbers | how)


def options(out, every, objective="contrastive"):
    return SimpleNamespace(out=out, log_every=every, objective=objective, log=None)


# What is logged of a step: two of three pictures have their own caption nearest
RESULT = dict(loss=torch.tensor(2.5), grad_norm=torch.tensor(0.5))
FEATURES = dict(
    image=torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 1.0]]),
    text=torch.tensor([[1.0, 0.1], [0.0, 3.0], [0.1, 5.0]]),
    scale=torch.tensor(14.26),
)


def test_a_line_has_the_numbers_of_the_step_and_the_speed_since_the_line_before(
    clock, tmp_path, capsys
):
    log, result = RunLog(options(tmp_path, 10), step=6), RESULT | FEATURES
    clock.now += 80  # 4 steps of 20 s
    log.write(progress(10, skipped_steps=2, skipped={"a.png": "damaged"}), lr=3e-4, **result)
    [line] = read_log(tmp_path / "log.jsonl")
    assert line == dict(
        step=10, epoch=1.25, loss=2.5, lr=3e-4, grad_norm=0.5, batch_size=100, skipped_steps=2,
        skipped=1, step_ms=20_000, pairs_per_s=5, scale=pytest.approx(14.26),
        accuracy=pytest.approx(2 / 3),
    )  # fmt: skip
    assert capsys.readouterr().out.endswith("ETA 10:00\n")
    clock.now += 30  # 10 steps of 3 s
    log.write(progress(20), lr=3e-4, **result)
    assert read_log(tmp_path / "log.jsonl")[1]["step_ms"] == 3000
    assert capsys.readouterr().out.endswith("ETA 1:00\n")


def test_an_objective_without_a_shared_space_has_no_scale_accuracy_and_log_n(clock, tmp_path):
    log = RunLog(options(tmp_path, 1, objective="ngrams"), step=0)
    clock.now += 1
    log.write(progress(1), lr=0.5, **RESULT)
    [line] = read_log(tmp_path / "log.jsonl")
    assert line["objective"] == "ngrams" and not {"scale", "accuracy"} & line.keys()
    assert not chance_is_log_n(line) and chance_is_log_n({})
    assert chance_is_log_n({"objective": "contrastive_bow"})


@pytest.mark.parametrize("rank, logged", [(0, [1, 10, 20, 30, 37]), (1, [])])
def test_lines_are_those_of_rank_0_at_the_first_step_every_tenth_and_the_last(
    rank, logged, clock, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(logging, "dist_info", lambda: (rank, 2))
    log = RunLog(options(tmp_path, 10), step=0)
    for step in range(1, 38):
        clock.now += 1
        log.write(progress(step, done=step == 37), 0.1, **RESULT)
    assert [line["step"] for line in read_log(tmp_path / "log.jsonl")] == logged
    assert capsys.readouterr().out.count("\n") == len(logged)


def test_the_accuracy_is_that_of_the_first_1024_pairs_and_lengths_do_not_matter():
    angle = torch.arange(1026) * (2 * math.pi / 1026)
    text = torch.stack([angle.cos(), angle.sin()], 1)
    image = text.clone()
    image[1023], image[1024], image[1025] = text[0], text[1], text[2]
    longer = 1 + torch.rand(1026, 1, generator=torch.Generator().manual_seed(0))
    assert in_batch_accuracy(image * longer, text * longer.flip(0)) == pytest.approx(1023 / 1024)
    assert in_batch_accuracy(image, text, at_most=5) == 1
