"""The losses of lessons/studies/loss_ladder.py are one loss, and its file has a row for each."""

import json

import loss_ladder
import pytest
import torch


@pytest.mark.parametrize("name", loss_ladder.LOSSES)
def test_each_rung_is_the_same_loss_with_the_same_gradient(name):
    image, text = torch.randn(2, 70, 16, generator=torch.Generator().manual_seed(0))
    results = []
    for loss in (loss_ladder.clip_loss, loss_ladder.LOSSES[name]):
        inputs = [t.clone().requires_grad_() for t in (image, text, torch.tensor(2.0))]
        value = loss(*inputs)
        results.append((value, *torch.autograd.grad(value, inputs)))
    for ours, defined in zip(*results):
        torch.testing.assert_close(ours, defined, rtol=1e-4, atol=1e-6)


def test_the_file_has_every_rung_and_the_hardware():
    found = json.loads(loss_ladder.FILE.read_text())
    assert list(found["rows"]) == list(loss_ladder.LOSSES)
    assert {"device", "torch", "threads", "n", "d"} <= set(found)
