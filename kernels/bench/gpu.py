"""The GPU half of `python -m kernels.bench`: the whole loss, every kernel, other implementations.

Times are milliseconds of forward + backward by CUDA events (triton.testing.do_bench: median, 10th and
90th percentile). They stand beside the floor and the range of kernels/plan.py where that knows the
card, for the whole step and for all launches of each kernel in it. A kernel outside of its range shows
which term of the plan is wrong. Peak bytes are what the allocator held above the features. The
gradient's error is taken against float64 on a slice of rows. Other implementations run when they are installed: open_clip (eager, and
under torch.compile) and memeff. A loss that fails says why in its row. After an error of CUDA
itself, such as an illegal memory access, nothing more can run in the process, so the run ends there
with what was measured. This has not been run on a GPU yet: every GPU time in this repository is
predicted.
"""

import functools
import importlib.util
import math
from collections.abc import Callable, Iterator

import torch
import triton
from torch import Tensor

from kernels.bench.cpu import build
from kernels.fused import launch
from kernels.plan import CARDS, by_kernel, floor_s, plan, spread, total_s
from kernels.softmax import LN2, fixed_shift
from kernels.table import Table
from miniclip.loss import contrastive_loss

LOGIT_SCALE = math.log(1 / 0.07)


def peers() -> dict[str, Callable]:
    """{name: f(image, text, logit_scale)} of what is installed; features are not normalized."""
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
    return losses


def features(n: int, d: int) -> tuple[Tensor, Tensor, Tensor]:
    """image and text, (n, d) float32 leaves on the GPU, pairs half alike; and the scale."""
    generator = torch.Generator("cuda").manual_seed(0)
    image, text = torch.randn(2, n, d, device="cuda", generator=generator)
    text = (image + text).requires_grad_()
    scale = torch.tensor(LOGIT_SCALE, device="cuda", requires_grad=True)
    return image.requires_grad_(), text, scale


def milliseconds(step: Callable[[], object], repeats: int = 5) -> list[float]:
    """(median, 10th, 90th percentile) of step(), in ms, over 100 ms and at least `repeats` steps."""
    times = triton.testing.do_bench(step, return_mode="all")
    while len(times) < repeats:  # a step longer than 20 ms
        times = triton.testing.do_bench(step, rep=2 * repeats * max(times), return_mode="all")
    return torch.tensor(times).quantile(torch.tensor([0.5, 0.1, 0.9])).tolist()


def attempt(measure: Callable[[], dict]) -> dict:
    """measure(), or {"failed": why}. Raises where CUDA works no more."""
    try:
        return measure()
    except Exception as error:  # a peer's or our own: the other rows are still worth having
        torch.cuda.synchronize()  # what broke the context, every later call reports again
        return {"failed": f"{type(error).__name__}: {error}".splitlines()[0][:100]}


def true_rows(image: Tensor, text: Tensor, logit_scale: Tensor, count: int) -> Tensor:
    """The image gradient's first rows in float64, and of the same loss: O(count N) memory."""
    x, y = (torch.nn.functional.normalize(t.detach().double(), dim=1) for t in (image, text))
    s, n = logit_scale.detach().double().exp(), len(image)
    column = torch.cat([torch.logsumexp(s * (y[i : i + 1024] @ x.T), 1) for i in range(0, n, 1024)])
    logits = s * x[:count] @ y.T
    g = (logits.softmax(1) + torch.exp(logits - column)) / (2 * n)
    g.diagonal().sub_(1 / n)
    g = s * g @ y
    x, length = x[:count], image.detach()[:count].double().norm(dim=1, keepdim=True)
    return (g - x * (g * x).sum(1, keepdim=True)) / length


def whole(loss: Callable, n: int, d: int, true: Tensor) -> dict:
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


def kernels_alone(n: int, d: int) -> dict[str, Callable[[], object]]:
    """{names in the plan, joined by " + ": all their launches in a step}, of miniclip's own, in fp16."""
    image, text, scale = (t.detach() for t in features(n, d))
    scale_log2, half = (scale.exp() / LN2).reshape(()), torch.float16
    (rows, norm), (columns, _) = (launch.normalize(x, half) for x in (image, text))
    shift, _ = fixed_shift(scale_log2, n)
    chunk, both = launch.default_chunk(n, half), (rows, columns, scale_log2)
    nobody = torch.zeros(n, dtype=torch.bool, device=image.device)
    lse, one_minus_p = scale_log2.expand(n).contiguous(), torch.ones_like(norm)
    softmaxes, g = (lse, lse, one_minus_p, one_minus_p), torch.randn_like(image)
    finish = norm, nobody, norm, norm, shift, norm, scale_log2
    backward = g, rows, norm, scale_log2, half

    def twice(f, *arguments):
        return lambda: [f(*arguments) for _ in range(2)]

    def gradient(*wanted):
        """The backward pass in which only the launches of these names happen."""

        def step():
            real = launch._launch, launch.library_products
            launch._launch = lambda name, *how, **more: (
                name in wanted and real[0](name, *how, **more)
            )
            launch.library_products = lambda *how: wanted == ("products",) and real[1](*how)
            try:
                launch.gradient(*both, *softmaxes, 0, chunk)
            finally:
                launch._launch, launch.library_products = real

        return step

    return {
        "normalize": twice(launch.normalize, image, half),
        "diagonal": lambda: launch.diagonal(rows, columns),
        "tall sums + sums + sums of matches + partial sums": lambda: launch.sums(
            *both, shift, 0, chunk
        ),
        "rescue of no row": twice(launch.online_sums, *both, nobody, 0),
        "finish": twice(launch.finish, *finish),
        "gradient + wide gradient": gradient("gradient", "wide gradient"),
        "special tiles": gradient("special tiles"),
        "product + product transposed": gradient("products"),
        "normalize backward": twice(launch.normalize_backward, *backward),
    }


def measure_all(sizes: list[int], d: int) -> Iterator[dict]:
    """For every size a row for each loss, then one for each kernel by itself."""
    for n in sizes:
        got = attempt(lambda: {"true": true_rows(*features(n, d), count=min(n, 256))})
        if "failed" in got:
            yield {"n": n, "d": d, "loss": "float64"} | got
            continue
        for name, loss in peers().items():
            yield {"n": n, "d": d, "loss": name} | attempt(lambda: whole(loss, n, d, got["true"]))
            torch.cuda.empty_cache()
        for name, kernel in kernels_alone(n, d).items():
            timed = attempt(lambda: {"ms": milliseconds(kernel)})
            yield {"n": n, "d": d, "loss": name, "kernel": True} | timed


def table_of(rows: list[dict], card: str | None) -> Table:
    """A line for each row of `measure_all`. card: its name in plan.CARDS, if it is known there."""
    table = Table("N", "loss or kernels", "ms", "p10", "p90", "planned", "floor", "of the floor",
                  "peak MiB", "gradient error")  # fmt: skip
    for row in rows:
        cells = [row["failed"]] if "failed" in row else [f"{t:.3f}" for t in row["ms"]]
        if "ms" in row:
            cells.append(planned(card, row) if card else "")
        if "error" in row:  # of a whole loss
            floor = floor_s(card, row["n"], row["d"]) * 1e3 if card else math.nan
            cells += [f"{floor:.3f}", f"{floor / row['ms'][0]:.0%}"]
            cells += [f"{row['peak_bytes'] / 2**20:.0f}", f"{row['error']:.1e}"]
        table.add(row["n"], row["loss"], *cells)
    return table


def planned(card: str, row: dict) -> str:
    """The plan's range in ms for our own loss or for some of its kernels; "" for other losses."""
    if not (row.get("kernel") or row["loss"].startswith("miniclip")):
        return ""
    launches = plan(card, row["n"], row["d"])
    if row.get("kernel"):
        groups = by_kernel(launches)
        launches = [groups[name] for name in row["loss"].split(" + ") if name in groups]
    return spread(total_s(launches))


def bench_gpu(sizes: list[int], d: int) -> None:
    """Measure everything and print the table, also when CUDA breaks down."""
    name, rows = torch.cuda.get_device_name(), []
    try:
        for row in measure_all(sizes, d):
            print(f"\rN {row['n']}: {row['loss']}          ", end="", flush=True)
            rows.append(row)
    finally:
        print(f"\r{name}, D = {d}, scale {math.exp(LOGIT_SCALE):.1f}, forward + backward")
        print(table_of(rows, next((card for card in CARDS if card in name), None)))
