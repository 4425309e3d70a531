"""Time and memory of the contrastive loss beside other implementations: `python -m kernels.bench`.

python -m kernels.bench --device cpu     torch in row chunks, figure 3 and open_clip
python -m kernels.bench                  on a GPU: these losses, and every kernel of a step

A step is the forward and the backward pass, from float32 features that are not normalized.
open_clip's loss is measured as well, if it is installed.

On a CPU every measurement runs in a process of its own. Otherwise memory that an allocator still
holds from an earlier measurement would count. The losses take turns, so that other load on the
machine slows all of them. The times are processor times of one thread. The memory is the peak of
the resident memory, minus what the process held with its inputs and their gradients.

On a GPU the times are milliseconds by CUDA events (triton.testing.do_bench: median, 10th and 90th
percentile), under autocast to bfloat16, as in training. The peak MiB are what the allocator held
beyond the features and their gradients. Then torch.profiler lists the kernels of one step. If
kernels/plan.py knows the card, its predicted ranges are printed below. A kernel outside of its
range shows which term of the plan is wrong. If a loss fails, its line says why. After an error of
CUDA itself, such as an illegal memory access, nothing more can run in the process, so the run ends
there. This has not been run on a GPU yet: every GPU time in this repository is predicted.
"""

import importlib.util
import pathlib
import statistics
import time
from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile

from kernels.table import table
from miniclip.benchmarks.timer import compare, take_turns
from miniclip.common import UserError, command, in_words, machine, number, refuse
from miniclip.distributed import process_group
from miniclip.loss import clip_loss, contrastive_loss

COUNT = number(int, low=1, high=10**7)
OPTIONS = {
    "--device": dict(choices=["cpu", "cuda"], help="cpu or cuda (cuda, if there is a GPU)"),
    "--sizes": dict(type=COUNT, nargs="+", action="extend", help="batch sizes N (two on a CPU)"),
    "--dim": dict(type=COUNT, default=512, help="width E of the features"),
    "--rounds": dict(type=COUNT, default=3, help="fresh processes for each loss (CPU)"),
}


def open_clip_loss(image, text, logit_scale):
    """open_clip's loss, which takes rows of length 1 and exp(logit_scale)."""
    from open_clip.loss import ClipLoss

    image, text = (torch.nn.functional.normalize(x, dim=1) for x in (image, text))
    return ClipLoss()(image, text, logit_scale.exp())


LOSSES = {
    "miniclip contrastive_loss, in row chunks": contrastive_loss,
    "miniclip clip_loss, figure 3 in five lines": clip_loss,
}
if importlib.util.find_spec("open_clip"):
    LOSSES["open_clip ClipLoss"] = open_clip_loss


def step_of(loss: Callable, n: int, d: int, device: str, gradient: bool = True) -> Callable:
    """A step of a loss on (n, d) float32 features, forward and, with `gradient`, backward."""
    generator = torch.Generator(device).manual_seed(0)
    image, text = torch.randn(2, n, d, device=device, generator=generator)
    leaves = [x.requires_grad_() for x in (image, text, torch.tensor(2.659, device=device))]
    for x in leaves:
        x.grad = torch.zeros_like(x)  # in training, gradients have memory before a step begins

    def step():
        # miniclip's losses are not affected by autocast
        autocast = torch.autocast(device, torch.bfloat16, enabled=device == "cuda")
        with torch.set_grad_enabled(gradient), autocast:
            value = loss(*leaves)
        if gradient:
            value.backward()

    return step


def fresh(function: Callable, *arguments):
    """function(*arguments), computed in a process of its own."""
    try:
        rows = ([argument] for argument in arguments)
        return process_group.in_processes(function, *rows, most=1, start="spawn")[0]
    except RuntimeError as error:  # torch's, or the process was killed
        raise UserError(f"a measurement failed, perhaps because memory was full: {error}") from None


def timed(step: Callable, rounds: int, warm_up: int = 0) -> tuple[list[float], float]:
    """(processor seconds of each step, MiB by which this process grew until its peak).

    warm_up: steps before these, whose time does not count. Only Linux tells the peak; elsewhere the
    MiB are NaN.
    """
    process = pathlib.Path("/proc/self")

    def resident_kib(line):
        text = (process / "status").read_text() if process.exists() else f"{line}: nan"
        return float(text.split(f"{line}:")[1].split()[0])

    if process.exists():
        (process / "clear_refs").write_text("5")  # resets the peak
    before = resident_kib("VmRSS")
    seconds = take_turns({"": step}, rounds, time.process_time, warm_up=warm_up)[""]
    return seconds, (resident_kib("VmHWM") - before) / 1024


def measure(
    loss: Callable, n: int, d: int, rounds: int, warm_up: int, gradient: bool = True
) -> tuple[list[float], float]:
    """What `timed` gives for a loss at (n, d) in this process, in one thread of a CPU."""
    torch.set_num_threads(1)
    step_of(loss, 64, min(d, 512), "cpu")()  # libraries load here
    return timed(step_of(loss, n, d, "cpu", gradient), rounds, warm_up)


def bench_cpu(sizes: list[int], d: int, rounds: int) -> None:
    """Measure every loss at every size, and print the tables of times and of memory."""
    measurements, memory = [], []
    for n in sizes:
        # a step of a large batch takes half a minute: one in each process, without a warm-up
        steps = (3, 1) if n <= 8192 else (1, 0)
        seconds, mib = {name: [] for name in LOSSES}, dict.fromkeys(LOSSES, 0)
        for _ in range(rounds):
            for name, loss in LOSSES.items():
                own, peak = fresh(measure, loss, n, d, *steps)
                seconds[name].append(statistics.median(own))
                mib[name] = max(mib[name], peak)
        measurements.append((n, seconds))
        memory += [(n, name, f"{most:.0f}") for name, most in mib.items()]
    print(f"{machine(torch.device('cpu'))['device']}, {torch.backends.cpu.get_cpu_capability()}")
    print(f"torch {torch.__version__}, float32, D = {d}, one thread, medians")
    print(compare("N", "ms a step", lambda s: 1000 * s, measurements), end="\n\n")
    print(table(("N", "loss", "MiB above start"), memory))


def measured_on_gpu(loss: Callable, n: int, d: int) -> str:
    """Milliseconds and peak MiB of a step, or why it failed. Raises if CUDA itself has failed."""
    from triton.testing import do_bench

    try:
        step = step_of(loss, n, d, "cuda")
        step()  # compiles
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        mib = (torch.cuda.max_memory_allocated() - before) / 2**20
        middle, low, high = do_bench(step, rep=1000, quantiles=[0.5, 0.1, 0.9])
    except Exception as error:  # an error of any kind: the other losses are still worth measuring
        torch.cuda.synchronize()  # if CUDA itself has failed, this call raises the error again
        return f"{type(error).__name__}: {error}".splitlines()[0][:100]
    return f"{middle:.3f} ms ({low:.3f} to {high:.3f}), {mib:.0f} MiB"


def bench_gpu(sizes: list[int], d: int) -> None:
    """Print the time and memory of every loss as it is measured, then the kernels of our step."""
    # imported inside, because a CPU is measured without Triton, which is not on every system
    with in_words("measuring on a GPU needs Triton; --device cpu does not", ImportError):
        from kernels.plan import CARDS, by_kernel, plan, spread
    print(f"{torch.cuda.get_device_name()}, D = {d}")
    for n in sizes:
        for name, loss in LOSSES.items():
            print(f"N = {n}, {name}: {measured_on_gpu(loss, n, d)}", flush=True)
            torch.cuda.empty_cache()
    for n in sizes:
        step = step_of(contrastive_loss, n, d, "cuda")
        step()
        with profile(activities=[ProfilerActivity.CUDA]) as seen:
            step()
        print(f"\nN = {n}: the kernels of one step")
        print(seen.key_averages().table(sort_by="self_device_time_total", row_limit=20))
        for card in (card for card in CARDS if card in torch.cuda.get_device_name()):
            planned = by_kernel(plan(card, n, d)).items()
            rows = ((name, own["launches"], spread(own["seconds"])) for name, own in planned)
            print(table(("kernel", "launches", "planned ms"), rows))


@command("python -m kernels.bench", (__doc__ or "").split("\n")[0], OPTIONS)
def main(device: str | None, sizes: list[int] | None, dim: int, rounds: int) -> None:
    """The command."""
    gpu = torch.cuda.is_available()
    refuse(
        {
            "there is no GPU here; --device cpu measures the torch losses": (
                device == "cuda" and not gpu
            )
        }
    )
    if gpu and device != "cpu":
        bench_gpu(sizes or [8192, 32768, 131072], dim)
    else:
        bench_cpu(sizes or [4096, 16384], dim, rounds)


if __name__ == "__main__":
    from kernels.bench.__main__ import main  # under a name by which fresh processes find `measure`

    main()
