"""`kernels.bench`: every loss is measured. The GPU half runs here on a CPU: what only a card has is
replaced, and the losses are ours to choose."""

from types import SimpleNamespace

import pytest
import torch

from kernels.bench import __main__ as bench
from tests.shared import python


@pytest.mark.slow
def test_the_cpu_half_times_every_loss():
    said = python(*"-m kernels.bench --device cpu --sizes 64 128 --dim 32 --rounds 1".split())
    assert all(said.count(name) == 4 for name in bench.LOSSES), said


def test_a_loss_that_fails_says_why_and_the_others_are_measured(monkeypatch, capsys):
    testing = pytest.importorskip("triton.testing")

    def peer(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")

    nothing = dict(reset_peak_memory_stats=None, empty_cache=None, memory_allocated=0)
    nothing |= dict(synchronize=None, max_memory_allocated=0, get_device_name="another card")
    for name, answer in nothing.items():
        monkeypatch.setattr(torch.cuda, name, lambda answer=answer: answer)
    on_cpu, real = SimpleNamespace(CUDA=bench.ProfilerActivity.CPU), bench.step_of
    monkeypatch.setattr(bench, "ProfilerActivity", on_cpu)
    monkeypatch.setattr(bench, "step_of", lambda loss, n, d, _: real(loss, n, d, "cpu"))
    monkeypatch.setattr(testing, "do_bench", lambda step, **how: [3.0, 2.0, 4.0])
    monkeypatch.setattr(bench, "LOSSES", dict(peer=peer, ours=bench.clip_loss))
    bench.bench_gpu([8, 12], 4)
    lines = capsys.readouterr().out.splitlines()
    assert sum(" peer: OutOfMemoryError: CUDA out of memory" in line for line in lines) == 2, lines
    assert sum(" ours: 3.000 ms (2.000 to 4.000), 0 MiB" in line for line in lines) == 2, lines
