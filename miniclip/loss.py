"""The objective: classify each image's text and each text's image in a batch (CLIP, figure 3).

`clip_loss` is the paper's figure 3, five lines that hold N x N tensors. `contrastive_loss` has the
same value and gradients, but it computes the similarities a chunk of rows at a time (kernels/). On
many ranks the average of its gradients, which DDP takes, is the gradient of the loss of the whole
batch. Left out: other objectives, and the clamp of the scale, which train.py applies after
each step.
Lesson: lessons/06_loss.md.
"""

import contextlib
import functools
import importlib.util
import itertools
import math
import sys
import warnings

import torch
import torch.nn.functional as F

try:
    from kernels import reference
except ImportError as error:
    import kernels

    raise ImportError(
        "miniclip needs its own package kernels, but found another package of this name in "
        f"{kernels.__path__[0]} (Hugging Face has one): uninstall the other package, or put "
        "miniclip's folder first on PYTHONPATH"
    ) from error
from kernels.contrastive import Contrastive, LocalCollectives
from kernels.reference import PRECISIONS
from kernels.softmax import double
from miniclip.common import ALSO, described, refuse
from miniclip.distributed.collectives import GroupCollectives, dist_info, host_group

# The largest logarithm of the scale that is accepted. The logarithm of the largest scale, 100, is
# only 4.6. Somebody who passes the scale itself by mistake passes 14.3 when training begins.
LARGEST_LOG = 12.0
HAS_TRITON = importlib.util.find_spec("triton") is not None


def clip_loss(image, text, logit_scale):
    """CLIP's loss, as it is defined: the mean of N pictures' and N captions' losses (CLIP, figure 3).

    image, text: (N, E), features of lengths from 1e-12 to 1e19, because the square of a length must
    be a float32; logit_scale: a tensor, the log of the scale. Returns 0-d.
    """
    # contrastive_loss gives the length 1 to shorter and longer rows, too
    image, text = F.normalize(image, dim=1), F.normalize(text, dim=1)
    logits = logit_scale.exp() * image @ text.T  # (N, N): row i is image i against every text
    matched = torch.arange(len(logits), device=logits.device)
    by_image, by_text = F.cross_entropy(logits, matched), F.cross_entropy(logits.T, matched)
    return (by_image + by_text) / 2


@torch.compiler.disable  # it cannot trace kernels that are launched by hand: the graph breaks here
def contrastive_loss(
    image: torch.Tensor,
    text: torch.Tensor,
    logit_scale: torch.Tensor | float,
    group: "torch.distributed.ProcessGroup | None" = None,
    backend: str = "auto",
    precision: str = "auto",
    chunk: int | None = None,
) -> torch.Tensor:
    """`clip_loss` over the global batch (CLIP, section 2.3), a chunk of similarities at a time.

    image, text: (N, E), the features of this rank's pairs, not normalized.
    logit_scale: one element, the logarithm of the scale. Pass model.logit_scale, and not the third
    output of model(images, tokens), which is its exp. A logit_scale above 12 is taken for this
    mistake: ValueError is raised if it is a number or a CPU tensor. On another device the host
    would have to wait to read it, so the loss becomes NaN instead.
    group: a process group; None is the default one, if torch.distributed is initialised. N may
    differ between ranks, but it must not be zero on any of them.
    backend: "torch", "triton" or "auto". "auto" is Triton on an NVIDIA GPU of the A100's generation
    or newer, if a kernel can be compiled there, and torch elsewhere. It is also torch for what the
    kernels do not support (float64 operands, E above 2048), and for precision "fp32".
    precision: the dtype of the operands ("fp16", "bf16", "fp32", "fp64"). "auto" is fp16 with
    Triton on a GPU, and otherwise the dtype of the input.
    chunk: how many rows of similarities are computed at a time.

    Returns the mean over all ranks' pairs, 0-d, the same on every rank. The gradient of logit_scale
    is the true one. The gradients of image and text are multiplied by the number of ranks, `world`.
    DDP divides by `world` when it averages the gradients of the parameters, so these come out
    right. torch.func's transforms, such as vmap and jvp, cannot transform this loss; they can
    transform clip_loss. A row of zeros has zero gradient. The loss is NaN if the features hold NaN, or if the
    scale is not finite. Raises ValueError, on all ranks together, when the arguments do not fit, or
    when the ranks do not all take the same backend and precision.
    """
    arguments = image, text, logit_scale, backend, precision, chunk
    if dist_info(group)[1] == 1:
        (ops, dtype), collectives = _plan(*arguments), LocalCollectives()
    else:
        ops, dtype, collectives = _plan_together(arguments, group)
    if not torch.is_tensor(logit_scale):
        logit_scale = double(image.new_zeros(())) + _value(logit_scale)
    elif _value(logit_scale) is None:
        logit_scale = logit_scale.where(logit_scale <= LARGEST_LOG, torch.nan)
    # int, because sums of numpy's small numbers would wrap around
    return Contrastive.apply(
        image, text, logit_scale, ops, collectives, dtype, chunk and int(chunk)
    )


def _plan(image, text, logit_scale, backend, precision, chunk):
    """(block operations, dtype of the operands). ValueError for arguments that do not fit."""
    is_number = (
        hasattr(logit_scale, "__float__")
        and type(logit_scale) is not bool
        and not getattr(logit_scale, "shape", ())
    )
    tensors = [x for x in (image, text, logit_scale) if torch.is_tensor(x)]
    refuse({"all three must be dense tensors, not nested": any(x.is_nested for x in tensors)})
    refuse(
        {
            "image and text must be tensors (N, E), and logit_scale a number or a tensor with one "
            f"element, and not {', '.join(map(described, (image, text, logit_scale)))}": not (
                torch.is_tensor(image)
                and torch.is_tensor(text)
                and (torch.is_tensor(logit_scale) or is_number)
            )
        }
    )
    requirements = {
        "all three must be dense tensors, not sparse": all(
            x.layout == torch.strided for x in tensors
        ),
        "image and text must both be (N, E)": image.shape == text.shape and image.ndim == 2,
        "image and text must hold at least one pair, and E must be at least 1": 0
        not in image.shape,
        # products in 8 bits would be far off
        "all three must be floating point of at least 16 bits": all(
            x.is_floating_point() and x.element_size() > 1 for x in tensors
        ),
        "logit_scale must be one element": all(x.numel() == 1 for x in tensors[2:]),
        "all three must be on one device": all(x.device == image.device for x in tensors),
    }
    found = ", ".join(
        f"{name} {tuple(x.shape)} of {x.dtype} on {x.device}"
        for name, x in zip(("image is", "text", "logit_scale"), tensors)
    )
    refuse({f"{sentence}, but {found}": not holds for sentence, holds in requirements.items()})
    scale, precisions = _value(logit_scale), ", ".join(["auto", *PRECISIONS])
    rows = chunk is None or type(chunk) is not bool and isinstance(chunk, ALSO[int]) and chunk >= 1
    refuse(
        {
            f"logit_scale must be the logarithm of the scale, at most {LARGEST_LOG:g}, and not "
            f"{scale}; pass model.logit_scale, and not its exp, which model(images, tokens) "
            "returns": (scale is not None and LARGEST_LOG < scale < torch.inf),
            f"chunk must be a whole number of rows, at least 1, but is {chunk}": not rows,
            f"precision must be one of {precisions}, not {precision}": (
                precision not in ("auto", *PRECISIONS)
            ),
            f"backend must be auto, torch or triton, not {backend}": (
                backend not in ("auto", "torch", "triton")
            ),
        }
    )
    dtype = PRECISIONS.get(precision, torch.promote_types(image.dtype, text.dtype))
    if backend == "auto":
        # a ROCm card also reports a capability, but has no NVIDIA tensor cores
        # tensor cores do not multiply float32 exactly, so fp32 stays with torch
        suits = (
            image.is_cuda
            and torch.version.hip is None
            and precision != "fp32"
            and not _triton_problem(image, dtype)
            and torch.cuda.get_device_capability(image.device) >= (8, 0)
            and _first_kernel(image.device)
        )
        backend = "triton" if suits else "torch"
    if backend == "torch":
        return reference, dtype
    if precision == "auto" and image.is_cuda and dtype != torch.float64:
        dtype = torch.float16  # enough range for unit rows, and a tenth of bfloat16's error
    if problem := _triton_problem(image, dtype):
        raise ValueError(problem)
    from kernels.fused import launch

    return launch, dtype


@functools.cache
def _first_kernel(device):
    """Whether a first kernel can be compiled and launched on this device. If not, warns once
    and says why."""
    try:
        from kernels.fused import launch

        launch.normalize(torch.zeros(1, 16, device=device), torch.float16)
    except Exception as error:  # no C compiler for Triton's launcher, or an unsuitable Triton
        why = f"{type(error).__name__}: {error}".splitlines()[0]
        warnings.warn(f"the loss runs in plain torch, because Triton failed on {device} ({why})")
        return False
    return True


def _value(x):
    """x as a float, if it is a number or a tensor that the host can read at once; else None."""
    if not torch.is_tensor(x):
        with contextlib.suppress(OverflowError):
            return float(x)
        return math.copysign(sys.float_info.max, x > 0 or -1)  # a whole number beyond float64
    plain = type(x) in (torch.Tensor, torch.nn.Parameter) and x.device.type == "cpu"
    return x.detach().item() if plain else None


def _triton_problem(image, dtype):
    """A sentence on why the Triton kernels cannot run on these features; None if they can."""
    if dtype == torch.float64 or image.shape[1] > 2048:
        return (
            "the Triton kernels take fp32, fp16 or bf16 operands and E up to 2048, "
            f"but were asked for {dtype} and E = {image.shape[1]}; backend='torch' takes any"
        )
    if not HAS_TRITON:
        return "backend='triton' needs Triton installed; backend='torch' does not"
    from triton import knobs

    if not image.is_cuda and not knobs.runtime.interpret:
        return (
            f"the Triton kernels need a GPU, but image is on {image.device} "
            "(TRITON_INTERPRET=1 interprets them, slowly, for tests)"
        )


def _plan_together(arguments, group):
    """`_plan` on many ranks, and their collectives. If one rank must raise, all raise.

    The ranks exchange the shapes of their features, and the way in which each would compute. They
    do so from CPU to CPU, so no host waits for its device.
    """
    mine, problem, ways = (0, 0, 0), None, [*itertools.product(("torch", "triton"), PRECISIONS)]
    try:
        ops, dtype = _plan(*arguments)
        precision = next((name for name in PRECISIONS if PRECISIONS[name] == dtype), None)
        way = ways.index(("torch" if ops is reference else "triton", precision))
        mine = *arguments[0].shape, way
    except ValueError as error:
        problem = error
    hosts = host_group(group or torch.distributed.group.WORLD)
    everyone = GroupCollectives([1] * dist_info(group)[1], hosts).gather(torch.tensor([mine]))
    counts, widths, taken = map(list, zip(*everyone.tolist()))
    if problem:
        raise problem
    named = ", ".join(" in ".join(ways[way]) for way in taken)
    refuse(
        {
            f"the loss failed on rank {counts.index(min(counts))}, whose own message says why": (
                0 in counts
            ),
            f"every rank must have the same E, but ranks 0, 1, ... have {widths}": (
                len(set(widths)) > 1
            ),
            # "auto" takes torch on a rank that cannot compile a kernel
            f"every rank must compute the loss the same way, but ranks 0, 1, ... would take {named}; "
            "pass backend='torch' or the same precision on all of them": len(set(taken)) > 1,
        }
    )
    return ops, dtype, GroupCollectives(counts, group)
