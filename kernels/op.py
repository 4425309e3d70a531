"""The loss as registered operators, so that torch.compile keeps it in its graph.

torch.compile cannot trace kernels that are launched by hand. `forward` and `backward` therefore
become two operators that it does not look into; a fake of each tells it the shapes and dtypes. One
device only: a loss over many ranks stays outside of graphs (contrastive.Contrastive). Left out: a
second derivative, which torch refuses for an operator without a formula.
"""

import importlib

import torch
from torch import Tensor

from kernels.contrastive import LocalCollectives, backward, forward, like_scale
from kernels.reference import accumulator
from kernels.softmax import double

BACKENDS = {"torch": "kernels.reference", "triton": "kernels.fused.launch"}
TEN = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


@torch.library.custom_op("miniclip::contrastive", mutates_args=())
def contrastive(
    image: Tensor, text: Tensor, logit_scale: Tensor, backend: str, dtype: torch.dtype, chunk: int
) -> TEN:
    """The loss (0-d) and the nine tensors its gradient needs. chunk: 0 for the backend's own."""
    ops = importlib.import_module(BACKENDS[backend])
    loss, saved = forward(image, text, logit_scale, ops, LocalCollectives(), dtype, chunk or None)
    return loss, *saved


@contrastive.register_fake
def _(image, text, logit_scale, backend, dtype, chunk):
    """The same shapes and dtypes without computing."""
    (n, _), acc = image.shape, accumulator(dtype)
    unit_rows, vector, scalar = (image.shape, dtype), (n, acc), ((), acc)
    outputs = [scalar, unit_rows, vector, unit_rows, vector, scalar, *[vector] * 4]
    return tuple(image.new_empty(shape, dtype=kind) for shape, kind in outputs)


@torch.library.custom_op("miniclip::contrastive_backward", mutates_args=())
def contrastive_backward(
    upstream: Tensor,
    saved: list[Tensor],
    backend: str,
    image_dtype: torch.dtype,
    text_dtype: torch.dtype,
    chunk: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients by image, text and logit_scale (float64), from what `contrastive` returned."""
    ops = importlib.import_module(BACKENDS[backend])
    return backward(
        upstream, saved, ops, LocalCollectives(), (image_dtype, text_dtype), chunk or None
    )


@contrastive_backward.register_fake
def _(upstream, saved, backend, image_dtype, text_dtype, chunk):
    """The same shapes and dtypes without computing."""
    features = zip((saved[0], saved[2]), (image_dtype, text_dtype))
    d_image, d_text = (torch.empty_like(x, dtype=dtype) for x, dtype in features)
    return d_image, d_text, double(torch.empty_like(upstream))


def _save(ctx, inputs, output):
    """What the backward operator is called with."""
    image, text, logit_scale, backend, _, chunk = inputs
    ctx.save_for_backward(*output[1:])
    ctx.arguments = backend, image.dtype, text.dtype, chunk
    ctx.scale = logit_scale.dtype, logit_scale.device, logit_scale.shape


def _differentiate(ctx, upstream, *others):
    """The gradients by image, text and logit_scale; the nine other outputs have none."""
    d_image, d_text, d_scale = contrastive_backward(
        upstream, list(ctx.saved_tensors), *ctx.arguments
    )
    return d_image, d_text, like_scale(d_scale, *ctx.scale), None, None, None


contrastive.register_autograd(_differentiate, setup_context=_save)
