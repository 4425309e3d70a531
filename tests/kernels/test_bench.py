"""`kernels.bench`: the floor of the CPU half, and what the GPU half does when a loss fails.

The GPU half runs here on a CPU: torch.cuda's calls are replaced, the losses are ours to choose.
"""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

pytest.importorskip("triton")
import triton  # noqa: E402
from triton.runtime.errors import OutOfResources  # noqa: E402

from kernels import plan as plans  # noqa: E402
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


@pytest.fixture
def card(monkeypatch):
    """bench_gpu on the CPU, with features of its own and no timer; [error] is what CUDA then says."""
    broken = []

    def synchronize():
        if broken:
            raise broken[0]

    def features(n, d):
        image, text = torch.randn(2, n, d, generator=torch.Generator().manual_seed(0))
        return image.requires_grad_(), text.requires_grad_(), torch.tensor(2.0).requires_grad_()

    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    nothing = dict(reset_peak_memory_stats=None, empty_cache=None, memory_allocated=0)
    nothing |= dict(max_memory_allocated=0, get_device_name="NVIDIA H100 80GB HBM3")
    for name, answer in nothing.items():
        monkeypatch.setattr(torch.cuda, name, lambda answer=answer: answer)
    monkeypatch.setattr(gpu, "features", features)
    monkeypatch.setattr(gpu, "milliseconds", lambda step: [3.0, 2.0, 4.0])
    monkeypatch.setattr(
        gpu, "planned", lambda card, row: f"{card} 1 to 2" if "kernel" in row else ""
    )
    return broken


@pytest.mark.parametrize(
    "error, said",
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), "out of memory"),
        (OutOfResources(300, 99, "shared memory"), "OutOfResources: out of resource"),
        (triton.CompilationError("x = y", None, "y is not defined"), "CompilationError: "),
        (KeyError("memory"), "KeyError: 'memory'"),
    ],
)
def test_a_loss_that_fails_says_why_and_the_others_are_measured(
    error, said, card, monkeypatch, capsys
):
    def peer(*_):
        raise error

    monkeypatch.setattr(gpu, "peers", lambda: {"peer": peer, "ours": contrastive_loss})
    gpu.bench_gpu([8, 12], 4)
    lines = capsys.readouterr().out.splitlines()
    assert sum(" peer " in line and said in line for line in lines) == 2, lines
    assert sum(" ours " in line and " 3.000 " in line for line in lines) == 2, lines
    # every kernel that a plan has, of the card with tall and wide tiles or of the other
    plan = {
        name
        for line in lines
        if "H100 1 to 2" in line
        for name in line.split(None, 1)[1].split("3.000")[0].split(" + ")
    }
    code = dict(blocks_per_sm=1, warps=8, warps_differ=False)
    code["epilogue"] = dict(instructions=1, exp2=1, shuffles=1)
    launches = [x for c in plans.CARDS for x in plans.plan(c, 300, 8, code=lambda name: code)]
    assert {name.strip() for name in plan} == {x["kernel"] for x in launches}, lines


def test_an_illegal_access_ends_the_run_with_what_was_measured(card, monkeypatch, capsys):
    def peer(*_):
        card.append(RuntimeError("CUDA error: an illegal memory access was encountered"))
        raise card[0]

    losses = {"first": contrastive_loss, "peer": peer, "ours": contrastive_loss}
    monkeypatch.setattr(gpu, "peers", lambda: losses)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        gpu.bench_gpu([8, 12], 4)
    *_, last = capsys.readouterr().out.splitlines()
    assert last.split()[:5] == ["8", "first", "3.000", "2.000", "4.000"]


@pytest.mark.parametrize("step_ms, calls", [(1.0, 1), (90.0, 2), (1000.0, 2)])
def test_a_long_step_is_timed_five_times_too(step_ms, calls, monkeypatch):
    asked = []

    def do_bench(step, rep=100, return_mode=None, **_):
        asked.append(rep)
        return [step_ms] * max(1, int(rep / step_ms))

    monkeypatch.setattr(triton.testing, "do_bench", do_bench)
    assert gpu.milliseconds(None) == [step_ms] * 3
    assert len(asked) == calls and int(asked[-1] / step_ms) >= 5
