"""The losses of lessons/studies/loss_ladder.py are one loss, and its file has a row for each. Scripts
that replace a committed file do so only if they are given what they need, and nothing else."""

import json
import subprocess
import sys

import loss_ladder
import make_sample
import make_table
import pytest
import torch

from tests.shared import ROOT


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


@pytest.mark.parametrize("script", [loss_ladder, make_sample, make_table])
def test_a_script_that_is_given_an_unknown_option_writes_nothing(script, refused):
    refused(script.main, "--out", "x")


def test_a_drawing_that_is_given_an_option_writes_nothing():
    script = [sys.executable, ROOT / "lessons/drawings/d06_loss.py", "--out", "x"]
    done = subprocess.run(script, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("d06_loss.py: error: unrecognized")


@pytest.mark.parametrize("text", ["no table", "# Version: 17.0\n# group: Smileys\n"])
def test_a_list_of_emoji_that_is_cut_or_another_file_is_refused(tmp_path, refused, text):
    (tmp_path / "emoji-test.txt").write_text(text)
    said = refused(make_table.main, tmp_path / "emoji-test.txt")
    assert "is not Unicode's emoji-test.txt: it does not end with #EOF" in said
