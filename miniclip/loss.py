"""The objective: a batch's images and texts must find each other (CLIP, figure 3).

First as the paper prints it, five lines that hold two N x N tensors; then the same number and the
same gradients by the algorithm that scales (kernels/), on one device or spread over many ranks.
Left out: other objectives, and the clamp of the scale, which belongs to the optimiser's step.
"""

import importlib.util
import os

import torch
import torch.nn.functional as F

try:
    from kernels import reference
except ImportError as error:
    import kernels

    raise ImportError(
        f"miniclip needs its own package kernels, but found another of that name in {kernels.__path__[0]} "
        "(Hugging Face has one): uninstall that, or put miniclip's folder first on PYTHONPATH"
    ) from error
from kernels.contrastive import Alone, Contrastive
from kernels.op import contrastive
from kernels.softmax import double

from .dist import Shards, all_gather, dist_info

HAS_TRITON = importlib.util.find_spec("triton") is not None
PRECISIONS = {
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    "fp32": torch.float32,
    "fp64": torch.float64,
}


def clip_loss(image, text, logit_scale):
    """Mean of both cross-entropies over the batch (CLIP, figure 3): the readable definition.

    image, text: (N, E), need not be normalised; logit_scale: the log of the scale. Returns 0-d.
    """
    image, text = F.normalize(image, dim=1), F.normalize(text, dim=1)
    logits = logit_scale.exp() * image @ text.T  # (N, N): row i is image i against every text
    matched = torch.arange(len(logits), device=logits.device)
    by_image, by_text = F.cross_entropy(logits, matched), F.cross_entropy(logits.T, matched)
    return (by_image + by_text) / 2


def contrastive_loss(
    image, text, logit_scale, group=None, backend="auto", precision="auto", chunk=None
):
    """`clip_loss` over the global batch, without any N x N tensor and with exact gradients.

    image, text: (N, E) un-normalised, this rank's pairs; logit_scale: one element, the log.
    group: a process group, None for the default one, if torch.distributed is initialised; ranks may
    hold different N, none zero. backend: "torch", "triton", or "auto", Triton on a GPU that can.
    precision: the operands' dtype ("fp16", "bf16", "fp32", "fp64"), "auto" for fp16 on a GPU under
    Triton and the input's own elsewhere. chunk: rows of similarities at a time.

    Returns the mean over all ranks' pairs, 0-d, the same on every rank. The gradient of logit_scale
    is the true one, those of the features are `world` times the true ones, so that DDP's average
    is right for every parameter. A zero row has zero gradient. Features that are NaN, or a scale that
    is not finite, give NaN. Raises ValueError, on all ranks together, when shapes do not fit.
    """
    asked = image, text, logit_scale, backend, precision, chunk
    if dist_info(group)[1] == 1:
        ops, dtype = _plan(*asked)
        collectives = Alone()
    else:
        ops, dtype, collectives = _plan_together(asked, group)
    if not torch.is_tensor(logit_scale):
        logit_scale = double(image.new_zeros(())) + float(logit_scale)
    if torch.compiler.is_compiling() and collectives.world == 1:
        name = "torch" if ops is reference else "triton"
        return contrastive(image, text, logit_scale, name, dtype, chunk or 0)[0]
    return Contrastive.apply(image, text, logit_scale, ops, collectives, dtype, chunk)


def _plan(image, text, logit_scale, backend, precision, chunk):
    """The block operations and the operands' dtype; raises ValueError for what cannot be right."""
    shapes = f"image is {tuple(image.shape)} and text {tuple(text.shape)}"
    if image.shape != text.shape or image.ndim != 2:
        raise ValueError(f"image and text must both be (N, E), but {shapes}")
    if 0 in image.shape:
        raise ValueError(
            f"the loss needs at least one pair of at least one dimension, but {shapes}"
        )
    if not (image.is_floating_point() and text.is_floating_point()):
        raise ValueError(
            f"features must be floating point, but image is {image.dtype} and text {text.dtype}"
        )
    devices = [image.device, text.device]
    if torch.is_tensor(logit_scale):
        devices.append(logit_scale.device)
        if logit_scale.numel() != 1 or not logit_scale.is_floating_point():
            raise ValueError(
                "logit_scale must be one floating-point element, "
                f"but is {tuple(logit_scale.shape)} of {logit_scale.dtype}"
            )
    if len(set(devices)) > 1:
        raise ValueError(
            "image, text and logit_scale must be on one device, "
            f"but are on {', '.join(map(str, devices))}"
        )
    if chunk is not None and chunk < 1:
        raise ValueError(f"chunk must be at least 1 row, but is {chunk}")
    if precision not in ("auto", *PRECISIONS):
        raise ValueError(
            f"precision must be auto or one of {', '.join(PRECISIONS)}, not {precision}"
        )
    dtype = PRECISIONS.get(precision, torch.promote_types(image.dtype, text.dtype))
    if backend == "auto":
        backend = "triton" if _triton_can(image, dtype) else "torch"
    if backend == "torch":
        return reference, dtype
    if backend != "triton":
        raise ValueError(f"backend must be auto, torch or triton, not {backend}")
    if precision == "auto" and image.is_cuda and dtype != torch.float64:
        dtype = torch.float16  # unit rows need no range, and the error is a tenth of bfloat16's
    return _triton_ops(image, dtype), dtype


def _triton_can(image, dtype):
    """Whether "auto" means Triton: a GPU of the A100's generation or newer, and Triton installed."""
    if not image.is_cuda or dtype == torch.float64 or image.shape[1] > 2048:
        return False
    return HAS_TRITON and torch.cuda.get_device_capability(image.device) >= (8, 0)


def _triton_ops(image, dtype):
    """The Triton block operations, or a ValueError that says why not."""
    if dtype == torch.float64 or image.shape[1] > 2048:
        raise ValueError(
            "the Triton kernels take fp32, fp16 or bf16 operands and E up to 2048, "
            f"but were asked for {dtype} and E = {image.shape[1]}; backend='torch' takes any"
        )
    if not HAS_TRITON:
        raise ValueError("backend='triton' needs Triton installed; backend='torch' does not")
    if not image.is_cuda and os.environ.get("TRITON_INTERPRET") != "1":
        raise ValueError(
            f"the Triton kernels need a GPU, but image is on {image.device} "
            "(TRITON_INTERPRET=1 interprets them, slowly, for tests)"
        )
    from kernels import blocks

    return blocks


def _plan_together(asked, group):
    """`_plan` on many ranks, and their collectives; every rank raises when any of them must.

    The ranks tell each other their shapes, so here, and only here, the host waits for the device.
    """
    image, problem, ops, dtype = asked[0], None, None, None
    try:
        ops, dtype = _plan(*asked)
    except ValueError as error:
        problem = error
    mine = [0, 0] if problem else list(image.shape)
    shapes = all_gather(torch.tensor([mine], device=image.device), group=group).tolist()
    failed = [rank for rank, (count, _) in enumerate(shapes) if count == 0]
    if problem:
        raise problem
    if failed:
        raise ValueError(f"the loss could not be computed on rank {failed[0]}, which says why")
    counts, widths = zip(*shapes)
    if len(set(widths)) > 1:
        raise ValueError(f"every rank must have the same E, but ranks 0, 1, ... have {widths}")
    return ops, dtype, Shards(list(counts), group)
