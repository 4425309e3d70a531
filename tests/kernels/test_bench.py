"""`kernels.bench`: both halves print their tables. The GPU half runs here on a CPU: what only a card
has is replaced, and the losses are ours to choose."""

import pytest
import torch

pytest.importorskip("triton")
import triton  # noqa: E402
from triton.runtime.errors import OutOfResources  # noqa: E402

from kernels.bench import __main__ as bench  # noqa: E402
from kernels.bench import cpu, gpu  # noqa: E402


@pytest.mark.slow
def test_the_cpu_half_times_every_loss(capsys):
    assert bench.main("--device cpu --sizes 64 128 --dim 32 --rounds 1".split()) == 0
    printed = capsys.readouterr().out
    assert all(printed.count(name) == 4 for name in cpu.losses()), printed


@pytest.mark.parametrize(
    "error, said",
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), "out of memory"),
        (OutOfResources(300, 99, "shared memory"), "OutOfResources: out of resource"),
        (triton.CompilationError("x = y", None, "y is not defined"), "CompilationError: "),
        (KeyError("memory"), "KeyError: 'memory'"),
    ],
)
def test_a_loss_that_fails_says_why_and_the_others_are_measured(error, said, monkeypatch, capsys):
    def peer(*_):
        raise error

    nothing = dict(reset_peak_memory_stats=None, empty_cache=None, memory_allocated=0)
    nothing |= dict(synchronize=None, max_memory_allocated=0, get_device_name="another card")
    for name, answer in nothing.items():
        monkeypatch.setattr(torch.cuda, name, lambda answer=answer: answer)
    monkeypatch.setattr(gpu, "DEVICE", "cpu")
    monkeypatch.setattr(gpu, "ACTIVITY", gpu.ProfilerActivity.CPU)
    monkeypatch.setattr(triton.testing, "do_bench", lambda step, **how: [3.0, 2.0, 4.0])
    monkeypatch.setattr(gpu, "losses", lambda: dict(peer=peer, ours=cpu.clip_loss))
    gpu.bench_gpu([8, 12], 4)
    lines = capsys.readouterr().out.splitlines()
    assert sum(" peer " in line and said in line for line in lines) == 2, lines
    assert sum(" ours " in line and " 3.000 " in line for line in lines) == 2, lines
