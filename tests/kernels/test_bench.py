"""`kernels.bench`: what the CPU half says of the floor, and what the GPU half does when a loss fails.

The GPU half runs here on a CPU: torch.cuda's calls are replaced, the losses are ours to choose.
"""

import argparse

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

pytest.importorskip("triton")
import triton  # noqa: E402
from triton.runtime.errors import OutOfResources  # noqa: E402

from kernels.bench import cpu, gpu  # noqa: E402
from miniclip.loss import contrastive_loss  # noqa: E402


def test_the_floor_is_four_products_and_nothing_else():
    step = cpu.floor_of(300, 16)
    with FlopCounterMode(display=False) as counter:
        step()
    assert counter.get_total_flops() == 8 * 300 * 300 * 16
    assert {str(op) for op in counter.get_flop_counts()["Global"]} == {"aten.mm"}


def test_the_last_lines_are_of_pairs_that_were_timed_in_turn(capsys):
    ours = dict(n=64, d=16, loss="chunks", growth_bytes=3 * 2**20, round_seconds=[1.0, 2.0])
    ours |= dict(seconds=[1.0, 2.0, 1.0], floor_seconds=[0.9, 1.6, 0.7])
    theirs = dict(ours, loss="open_clip", round_seconds=[2.0, 3.0], growth_bytes=9 * 2**20)
    share = "share of the floor 0.80 (0.70 to 0.90)"
    cpu.show([ours], threads=1)
    assert capsys.readouterr().out.splitlines()[-1] == f"N 64: {share}, 3 MiB"
    cpu.show([ours, theirs], threads=1)
    faster = "times as fast as open_clip 1.75 (1.50 to 2.00)"
    want = f"N 64: {faster}, {share}, 3 MiB against 9"
    assert capsys.readouterr().out.splitlines()[-1] == want


@pytest.mark.slow
def test_every_step_of_ours_has_its_floor_beside_it():
    got = cpu.measure("chunks", 32, 8, torch.get_num_threads(), 3, 1)
    assert len(got["seconds"]) == len(got["floor_seconds"]) == 3
    assert "floor_seconds" not in cpu.measure("lines", 32, 8, torch.get_num_threads(), 1, 0)


class NoGPU:
    """Stands in for the card: broken is what a CUDA error would leave behind."""

    broken = False

    def synchronize(self):
        if self.broken:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")


@pytest.fixture
def card(monkeypatch):
    """bench_gpu on the CPU, with features of its own and no timer."""
    card = NoGPU()
    monkeypatch.setattr(torch.cuda, "synchronize", card.synchronize)
    for name in ("reset_peak_memory_stats", "empty_cache"):
        monkeypatch.setattr(torch.cuda, name, lambda: None)
    for name in ("memory_allocated", "max_memory_allocated"):
        monkeypatch.setattr(torch.cuda, name, lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a card")

    def features(n, d):
        image, text = torch.randn(2, n, d, generator=torch.Generator().manual_seed(0))
        return image.requires_grad_(), text.requires_grad_(), torch.tensor(2.0).requires_grad_()

    monkeypatch.setattr(gpu, "features", features)
    monkeypatch.setattr(gpu, "milliseconds", lambda step: [3.0, 2.0, 4.0])
    monkeypatch.setattr(gpu, "kernels_alone", lambda n, d: {"sums": (1.0, 1.0, 1.0)})
    return card


FAILURES = {
    "out of memory": (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), "out of memory"),
    "shared memory": (OutOfResources(300, 99, "shared memory"), "OutOfResources: out of resource"),
    "compilation": (triton.CompilationError("x = y", None, "y is not defined"), "CompilationError: "),
    "a bug": (KeyError("memory"), "KeyError: 'memory'"),
}  # fmt: skip


def losses(monkeypatch, *raised):
    """The peers become ours and, before it, one that raises each of these errors."""

    def failing(error):
        def loss(*_):
            raise error() if callable(error) else error

        return loss

    named = {f"peer {i}": failing(error) for i, error in enumerate(raised)}
    monkeypatch.setattr(gpu, "peers", lambda: dict(named, ours=contrastive_loss))


@pytest.mark.parametrize("what", FAILURES)
def test_a_loss_that_fails_says_why_and_the_others_are_measured(what, card, monkeypatch, capsys):
    error, said = FAILURES[what]
    losses(monkeypatch, error)
    options = argparse.Namespace(sizes=[8, 12], dim=4, out=None)
    assert gpu.bench_gpu(options) == 0
    lines = capsys.readouterr().out.splitlines()
    failed = [line for line in lines if "peer 0" in line and line[0] != "N"]
    assert len(failed) == 2 and all(said in line for line in failed), failed
    assert sum(" ours " in line and "3.000" in line for line in lines) == 2
    assert (said == "out of memory") or not any("out of memory" in line for line in failed)


def test_an_illegal_access_ends_the_run_with_what_was_measured(card, monkeypatch, capsys, tmp_path):
    def illegal():
        card.broken = True
        return RuntimeError("CUDA error: an illegal memory access was encountered\nmore")

    losses(monkeypatch, ValueError("first"), illegal)
    options = argparse.Namespace(sizes=[8, 12], dim=4, out=tmp_path)
    monkeypatch.setattr(gpu, "plot", lambda *_: None)
    assert gpu.bench_gpu(options) == 1
    captured = capsys.readouterr()
    assert "ValueError: first" in captured.out
    assert "RuntimeError: CUDA error: an illegal memory access" in captured.out
    assert "12 " not in captured.out and "ours" not in captured.out.split("\n", 1)[1]
    assert "the run ended there" in captured.err
    assert "first" in (tmp_path / "bench.json").read_text()


@pytest.mark.parametrize("step_ms, calls", [(1.0, 1), (90.0, 2), (1000.0, 2)])
def test_a_long_step_is_timed_five_times_too(step_ms, calls, monkeypatch):
    asked = []

    def do_bench(step, rep=100, return_mode=None, **_):
        asked.append(rep)
        return [step_ms] * max(1, int(rep / step_ms))

    monkeypatch.setattr(triton.testing, "do_bench", do_bench)
    assert gpu.milliseconds(None) == [step_ms] * 3
    assert len(asked) == calls and int(asked[-1] / step_ms) >= 5
