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

CPU = torch.device("cpu")


def header(capsys, device=CPU, step=0, steps=1200, **options):
    """What is printed of a model of 16 numbers, 12 of which learn, on 1234 pairs."""
    args = dict(model="rn_mini", objective="contrastive", precision="bf16", minutes=None, init=None)
    model = torch.nn.Linear(3, 4)
    model.bias.requires_grad_(False)
    pairs = type("Pairs", (), dict(name="emoji", splits={"train": range(1234)}))
    monitor = SimpleNamespace(steps=steps, step=step, batch_size=1024)
    words = SimpleNamespace(vocab_size=2014)
    print_header(SimpleNamespace(**args | options), model, words, pairs, monitor, device)
    return capsys.readouterr().out.splitlines()


def test_only_a_cpu_that_emulates_the_precision_is_said_to(capsys, monkeypatch):
    for emulated, device, lines in (
        (True, CPU, 2),
        (True, SimpleNamespace(type="cuda"), 1),
        (False, CPU, 1),
    ):
        monkeypatch.setattr(logging, "emulates", lambda precision: emulated)
        assert len(header(capsys, device)) == lines


class Clock:
    """Seconds that pass only when they are added."""

    now = 50.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(logging, "time", made := Clock())
    return made


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


def result(shared_space=True):
    """What is logged of a step: two of three pictures have their own caption nearest."""
    image = torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    text = torch.tensor([[1.0, 0.1], [0.0, 3.0], [0.1, 5.0]])
    features = dict(image=image, text=text, scale=torch.tensor(14.26))
    numbers = dict(loss=torch.tensor(2.5), grad_norm=torch.tensor(0.5))
    return numbers | features if shared_space else numbers


def test_a_line_has_the_numbers_of_the_step_and_the_speed_since_the_line_before(
    clock, tmp_path, capsys
):
    log = RunLog(tmp_path, every=10, step=6)
    clock.now += 80  # 4 steps of 20 s
    log.write(progress(10, skipped_steps=2, skipped={"a.png": "damaged"}), lr=3e-4, **result())
    [line] = read_log(tmp_path / "log.jsonl")
    assert line.pop("scale") == pytest.approx(14.26) and line.pop("accuracy") == pytest.approx(
        2 / 3
    )
    assert line == dict(
        step=10, epoch=1.25, loss=2.5, lr=3e-4, grad_norm=0.5, batch_size=100, skipped_steps=2,
        skipped=1, step_ms=20_000, pairs_per_s=5,
    )  # fmt: skip
    said = capsys.readouterr().out
    for words in ("00010/40", "loss 2.5000 (log N 4.61)", "accuracy 0.67", "2 steps skipped"):
        assert words in said
    assert said.endswith("ETA 10:00\n")
    clock.now += 30  # 10 steps of 3 s
    log.write(progress(20), lr=3e-4, **result())
    assert read_log(tmp_path / "log.jsonl")[1]["step_ms"] == 3000
    assert "20000" not in (said := capsys.readouterr().out) and said.endswith("ETA 1:00\n")


def test_an_objective_without_a_shared_space_has_no_scale_accuracy_and_log_n(
    clock, tmp_path, capsys
):
    log = RunLog(tmp_path, every=1, step=0, objective="ngrams")
    clock.now += 1
    log.write(progress(1), lr=0.5, **result(shared_space=False))
    [line] = read_log(tmp_path / "log.jsonl")
    assert line["objective"] == "ngrams" and not {"scale", "accuracy"} & line.keys()
    said = capsys.readouterr().out
    assert "loss 2.5000 | lr" in said and "accuracy" not in said
    assert not chance_is_log_n(line) and chance_is_log_n({})
    assert chance_is_log_n({"objective": "contrastive_bow"})


@pytest.mark.parametrize(
    "budget_s, seconds, words", [(300, 210, "1:30"), (4000, 0, "39:00"), (300, 301, "0:00")]
)
def test_the_run_ends_with_its_steps_or_its_time_whichever_is_sooner(
    budget_s, seconds, words, clock, tmp_path, capsys
):
    log = RunLog(tmp_path, every=1, step=0)
    clock.now += 60
    log.write(progress(1, budget_s=budget_s, seconds=seconds), 0.1, **result())
    assert capsys.readouterr().out.endswith(f"ETA {words}\n")
    clock.now += 60
    by_time = progress(2, budget_s=budget_s, seconds=seconds, steps=math.inf)
    log.write(by_time, 0.1, **result())
    assert "step 00002/- | " in capsys.readouterr().out


def test_lines_are_those_of_the_first_step_every_tenth_and_the_last(clock, tmp_path, monkeypatch):
    log = RunLog(tmp_path, every=10, step=0)
    for step in range(1, 38):
        clock.now += 1
        log.write(progress(step, done=step == 37), 0.1, **result())
    assert [line["step"] for line in read_log(tmp_path / "log.jsonl")] == [1, 10, 20, 30, 37]


def test_only_rank_0_writes(clock, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(logging, "dist_info", lambda: (1, 2))
    log = RunLog(tmp_path, every=1, step=0)
    clock.now += 1
    log.write(progress(1), 0.1, **result())
    assert not list(tmp_path.iterdir()) and not capsys.readouterr().out


def test_the_accuracy_is_that_of_the_first_1024_pairs_and_lengths_do_not_matter():
    angle = torch.arange(1026) * (2 * math.pi / 1026)
    text = torch.stack([angle.cos(), angle.sin()], 1)
    image = text.clone()
    image[1023], image[1024], image[1025] = text[0], text[1], text[2]
    longer = 1 + torch.rand(1026, 1, generator=torch.Generator().manual_seed(0))
    assert in_batch_accuracy(image * longer, text * longer.flip(0)) == pytest.approx(1023 / 1024)
    assert in_batch_accuracy(image, text, at_most=5) == 1
