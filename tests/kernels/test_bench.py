"""`kernels.bench`: the floor of the CPU half, and what the GPU half does when a loss fails.

The GPU half runs here on a CPU: torch.cuda's calls are replaced, the losses are ours to choose.
"""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

pytest.importorskip("triton")
import triton  # noqa: E402
from triton.runtime.errors import OutOfResources  # noqa: E402

from kernels.bench import __main__ as bench  # noqa: E402
from kernels.bench import cpu, gpu  # noqa: E402
from miniclip.loss import contrastive_loss  # noqa: E402


def test_the_floor_is_four_products_and_nothing_else():
    step = cpu.floor_of(300, 16)
    with FlopCounterMode(display=False) as counter:
        step()
    assert counter.get_total_flops() == 8 * 300 * 300 * 16
    assert {str(op) for op in counter.get_flop_counts()["Global"]} == {"aten.mm"}


@pytest.mark.slow
def test_the_cpu_half_times_every_loss_and_the_floor(capsys):
    assert bench.main("--device cpu --sizes 64 128 --dim 32 --rounds 1".split()) == 0
    printed = capsys.readouterr().out
    assert all(printed.count(name) >= 2 for name in cpu.LOSSES.values()), printed


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

    def features(n, d):
        image, text = torch.randn(2, n, d, generator=torch.Generator().manual_seed(0))
        return image.requires_grad_(), text.requires_grad_(), torch.tensor(2.0).requires_grad_()

    nothing = dict(reset_peak_memory_stats=None, empty_cache=None, memory_allocated=0)
    nothing |= dict(synchronize=None, max_memory_allocated=0, get_device_name="NVIDIA H100 80GB")
    for name, answer in nothing.items():
        monkeypatch.setattr(torch.cuda, name, lambda answer=answer: answer)
    seams = dict(features=features, milliseconds=lambda step: [3.0, 2.0, 4.0])
    seams |= dict(
        planned=lambda card, row: "", peers=lambda: dict(peer=peer, ours=contrastive_loss)
    )
    for name, function in seams.items():
        monkeypatch.setattr(gpu, name, function)
    gpu.bench_gpu([8, 12], 4)
    lines = capsys.readouterr().out.splitlines()
    assert sum(" peer " in line and said in line for line in lines) == 2, lines
    assert sum(" ours " in line and " 3.000 " in line for line in lines) == 2, lines
