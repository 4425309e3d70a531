"""The GPU half of `python -m kernels.bench`: the whole loss, and every kernel in it.

Times are milliseconds of forward + backward by CUDA events (triton.testing.do_bench: median, 10th and
90th percentile). Peak MiB are what the allocator held above the features and their gradients.
open_clip runs where it is installed, under autocast to bfloat16, as in training. Then torch.profiler
lists the kernels of one step. A kernel outside of the range that kernels/plan.py predicts shows which
term of the plan is wrong. A loss that fails says why in its row. After an error of CUDA itself, such as
an illegal memory access, nothing more can run in the process, so the run ends there with what was
measured. This has not been run on a GPU yet: every GPU time in this repository is predicted.
"""

import math
from collections.abc import Callable

import torch
import triton
from torch.profiler import ProfilerActivity, profile

from kernels.bench.cpu import losses
from kernels.table import Table
from miniclip.loss import contrastive_loss

LOGIT_SCALE = math.log(1 / 0.07)
DEVICE, ACTIVITY = "cuda", ProfilerActivity.CUDA


def step_of(loss: Callable, n: int, d: int) -> Callable[[], None]:
    """A step of a loss, forward and backward, on (n, d) float32 features, pairs half alike."""
    generator = torch.Generator(DEVICE).manual_seed(0)
    image, text = torch.randn(2, n, d, device=DEVICE, generator=generator)
    scale = torch.tensor(LOGIT_SCALE, device=DEVICE)
    leaves = [x.requires_grad_() for x in (image, image.detach() + text, scale)]

    def step():
        for x in leaves:
            x.grad = None
        with torch.autocast(DEVICE, torch.bfloat16):  # miniclip's loss is not affected by it
            value = loss(*leaves)
        value.backward()

    return step


def measure(step: Callable[[], None]) -> list[str]:
    """Milliseconds of a step (median, 10th and 90th percentile) and its peak MiB, as cells of a table."""
    step()  # compiles, and leaves the gradients
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step()
    mib = (torch.cuda.max_memory_allocated() - before) / 2**20
    milliseconds = triton.testing.do_bench(step, rep=1000, quantiles=[0.5, 0.1, 0.9])
    return [f"{t:.3f}" for t in milliseconds] + [f"{mib:.0f}"]


def attempt(loss: Callable, n: int, d: int) -> list[str]:
    """What `measure` gives for a loss, or why it failed. Raises where CUDA works no more."""
    try:
        return measure(step_of(loss, n, d))
    except Exception as error:  # an error of any kind: the other rows are still worth having
        torch.cuda.synchronize()  # what broke the context, every later call reports again
        return [f"{type(error).__name__}: {error}".splitlines()[0][:100]]


def bench_gpu(sizes: list[int], d: int) -> None:
    """Measure everything and print the tables, that of the losses also when CUDA breaks down."""
    gpu, table = torch.cuda.get_device_name(), Table("N", "loss", "ms", "p10", "p90", "peak MiB")
    try:
        for n in sizes:
            for name, loss in losses().items():
                print(f"\rN {n}: {name}          ", end="", flush=True)
                table.add(n, name, *attempt(loss, n, d))
                torch.cuda.empty_cache()
    finally:
        print(f"\r{gpu}, D = {d}, scale {math.exp(LOGIT_SCALE):.1f}, forward + backward")
        print(table)
    for n in sizes:
        step = step_of(contrastive_loss, n, d)
        step()
        with profile(activities=[ACTIVITY]) as seen:
            step()
        print(f"\nN = {n}: the kernels of one step (python -m kernels.report --plan predicts them)")
        print(seen.key_averages().table(sort_by="self_device_time_total", row_limit=20))
