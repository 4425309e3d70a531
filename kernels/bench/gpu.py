"""The GPU half of `python -m kernels.bench`: the whole loss, every kernel, other implementations.

Times are milliseconds of forward + backward by CUDA events (triton.testing.do_bench: median, 10th and
90th percentile), beside the floor and the prediction of roofline.py when the card is known there.
Peak bytes are what the allocator held above the features; the gradient's error is against float64 on
a slice of rows. Other implementations run when they are installed: open_clip (eager, and under
torch.compile), memeff, Inf-CL. A loss that fails says why in its row. After an error of CUDA itself,
such as an illegal memory access, nothing more can run in the process, so the run ends there. This
has not been run on a GPU yet: every GPU time in this repository is predicted.
"""

import functools
import importlib.util
import math
import sys

import torch
import triton

from kernels.bench.cpu import build
from kernels.bench.plot import plot
from kernels.fused import launch
from kernels.report import roofline
from kernels.softmax import LN2, fixed_shift
from kernels.table import Table
from miniclip.common import write_json
from miniclip.loss import contrastive_loss

LOGIT_SCALE = math.log(1 / 0.07)


def peers():
    """{name: f(image, text, logit_scale)} of what is installed; features are not normalized."""
    unit = torch.nn.functional.normalize
    losses = {
        "miniclip fp16": contrastive_loss,
        "miniclip bf16": functools.partial(contrastive_loss, precision="bf16"),
    }
    if importlib.util.find_spec("open_clip"):
        theirs = build("open_clip")

        def eager(x, y, s):
            with torch.autocast("cuda", torch.bfloat16):
                return theirs(x, y, s)

        losses |= {"open_clip amp": eager, "open_clip compiled": torch.compile(eager)}
    if importlib.util.find_spec("memeff"):
        from memeff import MemoryEfficientCLIPLoss

        efficient = MemoryEfficientCLIPLoss(temperature=math.exp(-LOGIT_SCALE), stable=False)
        losses["memeff bf16"] = lambda x, y, s: efficient(x.bfloat16(), y.bfloat16())
    if importlib.util.find_spec("inf_cl"):
        from inf_cl import cal_flash_loss

        def infinite(x, y, s):
            x, y = unit(x, dim=1), unit(y, dim=1)
            return sum(cal_flash_loss(*xy, scale=s.exp()).mean() for xy in ((x, y), (y, x))) / 2

        losses["Inf-CL"] = infinite
    return losses


def features(n, d):
    """image and text, (n, d) float32 leaves on the GPU, pairs half alike; and the scale."""
    generator = torch.Generator("cuda").manual_seed(0)
    image, text = torch.randn(2, n, d, device="cuda", generator=generator)
    text = (image + text).requires_grad_()
    scale = torch.tensor(LOGIT_SCALE, device="cuda", requires_grad=True)
    return image.requires_grad_(), text, scale


def milliseconds(step, repeats=5):
    """(median, 10th, 90th percentile) of step(), in ms, over 100 ms and at least `repeats` steps."""
    times = triton.testing.do_bench(step, return_mode="all")
    while len(times) < repeats:  # a step longer than 20 ms
        times = triton.testing.do_bench(step, rep=2 * repeats * max(times), return_mode="all")
    return torch.tensor(times).quantile(torch.tensor([0.5, 0.1, 0.9])).tolist()


def attempt(measure):
    """measure(), a dict; where that fails {"failed": why}, and "broken": True if CUDA works no more."""
    try:
        return measure()
    except torch.OutOfMemoryError:
        return {"failed": "out of memory"}
    except Exception as error:  # a peer's or our own: the other rows are still worth having
        first = next(iter(str(error).strip().splitlines()), "")
        failed = {"failed": f"{type(error).__name__}: {first}"[:100]}
    try:
        torch.cuda.synchronize()  # what broke the context, every later call reports again
    except Exception:
        failed["broken"] = True
    return failed


def true_rows(image, text, logit_scale, count):
    """The image gradient's first rows in float64, and of the same loss: O(count N) memory."""
    x, y = (torch.nn.functional.normalize(t.detach().double(), dim=1) for t in (image, text))
    s, n = logit_scale.detach().double().exp(), len(image)
    column = torch.cat([torch.logsumexp(s * (y[i : i + 1024] @ x.T), 1) for i in range(0, n, 1024)])
    logits = s * x[:count] @ y.T
    g = (logits.softmax(1) + torch.exp(logits - column)) / (2 * n)
    g.diagonal().sub_(1 / n)
    g = s * g @ y
    return (g - x[:count] * (g * x[:count]).sum(1, keepdim=True)) / image.detach()[
        :count
    ].double().norm(dim=1, keepdim=True)


def whole(loss, n, d, true):
    """{"ms", "peak_bytes", "error"} of a loss at this size; true: of `true_rows`."""
    image, text, scale = features(n, d)

    def step():
        image.grad = text.grad = scale.grad = None
        loss(image, text, scale).backward()

    step()  # compiles
    image.grad = text.grad = None
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step()
    peak_bytes = torch.cuda.max_memory_allocated() - before
    error = ((image.grad[: len(true)].double() - true).norm() / true.norm()).item()
    return {"ms": milliseconds(step), "peak_bytes": peak_bytes, "error": error}


def kernels_alone(n, d):
    """{kernel or operation: (median, p10, p90) ms} of miniclip's own, fp16."""
    image, text, scale = (t.detach() for t in features(n, d))
    scale_log2, half = (scale.exp() / LN2).reshape(()), torch.float16
    rows, norm = launch.normalize(image, half)
    columns, _ = launch.normalize(text, half)
    shift, _ = fixed_shift(scale_log2, n)
    chunk = launch.default_chunk(n, half)
    nobody = torch.zeros(n, dtype=torch.bool, device="cuda")
    lse, one_minus_p = scale_log2.expand(n).contiguous(), torch.ones(n, device="cuda")
    g = torch.randn(n, d, device="cuda")
    return {
        "normalize": milliseconds(lambda: launch.normalize(image, half)),
        "sums": milliseconds(lambda: launch.sums(rows, columns, scale_log2, shift, 0, chunk)),
        "rescue, nobody": milliseconds(
            lambda: launch.online_sums(rows, columns, scale_log2, nobody, 0)
        ),
        "gradient and products": milliseconds(
            lambda: launch.gradient(
                rows, columns, scale_log2, lse, lse, one_minus_p, one_minus_p, 0, chunk
            )
        ),
        "normalize backward": milliseconds(
            lambda: launch.normalize_backward(g, rows, norm, scale_log2, half)
        ),
    }


def measure_all(sizes, d):
    """For every size a row a loss, then one with "operations", the times of `kernels_alone`.

    Ends with the first row that is "broken".
    """
    for n in sizes:
        got = attempt(lambda: {"true": true_rows(*features(n, d), count=min(n, 256))})
        jobs = {
            name: lambda loss=loss: whole(loss, n, d, got["true"]) for name, loss in peers().items()
        }
        jobs["kernels alone"] = lambda: {"operations": kernels_alone(n, d)}
        if "failed" in got:
            jobs = {"float64": lambda: got}
        for name, job in jobs.items():
            print(f"\rN {n}: {name}          ", end="", flush=True)
            row = {"n": n, "d": d, "loss": name, **attempt(job)}
            yield row
            if "broken" in row:
                return
            torch.cuda.empty_cache()


def bench_gpu(options):
    """The command on a GPU; options as __main__.py parses them. Returns the exit code."""
    card, d = torch.cuda.get_device_name(), options.dim
    known = next((name for name in roofline.CARDS if name in card), None)
    rows = list(measure_all(options.sizes or [8192, 32768, 131072], d))
    alone = Table("N", "operation", "ms", "p10", "p90")
    table = Table("N", "loss", "ms", "p10", "p90", "floor", "predicted", "of the floor",
                  "peak MiB", "gradient error")  # fmt: skip
    for row in rows:
        n, name = row["n"], row["loss"]
        if "failed" in row:
            table.add(n, name, row["failed"])
        elif "operations" in row:
            for operation, time in row["operations"].items():
                alone.add(n, operation, *(f"{t:.3f}" for t in time))
        else:
            floor = roofline.floor_s(known, n, d) * 1e3 if known else math.nan
            predicted = roofline.predicted_s(known, n, d)["total"] * 1e3 if known else math.nan
            middle, low, high = row["ms"]
            table.add(n, name, f"{middle:.3f}", f"{low:.3f}", f"{high:.3f}", f"{floor:.3f}",
                      f"{predicted:.3f}" if name == "miniclip fp16" else "",
                      f"{floor / middle:.0%}" if known else "",
                      f"{row['peak_bytes'] / 2**20:.0f}", f"{row['error']:.1e}")  # fmt: skip
    print(f"\r{card}, D = {d}, scale {math.exp(LOGIT_SCALE):.1f}, forward + backward")
    print(table, alone, sep="\n")
    if options.out:
        operations = [row for row in rows if "operations" in row]
        losses = [row for row in rows if "operations" not in row]
        write_json(
            options.out / "bench.json", dict(card=card, losses=losses, operations=operations)
        )
        plot(
            [r for r in rows if "ms" in r],
            lambda r: r["ms"][0] / 1e3,
            lambda r: r["peak_bytes"] / 2**20,
            f"{card}, D = {d}",
            options.out / "bench.png",
        )
    if "broken" in rows[-1]:
        print("CUDA was broken by the last row's error, so the run ended there", file=sys.stderr)
        return 1
    return 0
