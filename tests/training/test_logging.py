"""The header, the lines and the curves of a run: what is logged, when, and how numbers are counted."""

import json
import math
from types import SimpleNamespace

import pytest
import torch

from miniclip import plots
from miniclip.training import logging
from miniclip.training.logging import RunLog, draw_curves, in_batch_accuracy, read_log


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


def options(out, every=None, objective="contrastive"):
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


LINES = [
    dict(step=1, loss=5.0, accuracy=0.1, scale=14.0, lr=1e-4, batch_size=9),
    dict(step=10, loss=3.0, accuracy=0.5, lr=2e-3, batch_size=9),
    dict(step=20, loss=2.0, accuracy=0.75, scale=20.0, lr=1e-3, batch_size=100),
]


@pytest.mark.parametrize("objective", ["contrastive", "ngrams"])
def test_four_panels_have_the_numbers_by_step_and_the_loss_its_chance(
    objective, tmp_path, monkeypatch
):
    """A number that is missing is a hole; chance is the logarithm of the last batch size."""
    drawn = []
    monkeypatch.setattr(plots, "lines", lambda panels, *more, **how: drawn.extend(panels))
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, LINES)) + "\n")
    draw_curves(options(tmp_path, objective=objective), None)
    for (curves, _), key in zip(drawn, ("loss", "accuracy", "scale", "lr"), strict=True):
        wanted = pytest.approx([line.get(key, math.nan) for line in LINES], nan_ok=True)
        assert curves.pop("_") == ([1, 10, 20], wanted), key
        chance = {"log N: chance": ([1, 10, 20], [math.log(100)] * 3)}
        assert curves == (chance if (key, objective) == ("loss", "contrastive") else {})
