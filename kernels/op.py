"""The loss as registered operators, so that torch.compile keeps it in its graph.

torch.compile cannot look into kernels that are launched by hand, nor should it: `forward` and
`backward` become two opaque operators, each with a fake twin that only knows shapes and dtypes. One
device only; what crosses ranks stays outside of graphs (contrastive.Contrastive). Left out: a second
derivative, which torch refuses for an operator without a formula.
"""

import importlib

import torch
from torch import Tensor

from kernels.contrastive import LocalCollectives, backward, forward
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
    loss, kept = forward(image, text, logit_scale, ops, LocalCollectives(), dtype, chunk or None)
    return loss, *kept


@contrastive.register_fake
def _(image, text, logit_scale, backend, dtype, chunk):
    """The same shapes and dtypes without computing."""
    acc = accumulator(dtype)
    n = image.shape[0]
    unit = [image.new_empty(image.shape, dtype=dtype) for _ in range(2)]
    vectors = [image.new_empty(n, dtype=acc) for _ in range(6)]
    loss, scale_log2 = (image.new_empty((), dtype=acc) for _ in range(2))
    return loss, unit[0], vectors[0], unit[1], vectors[1], scale_log2, *vectors[2:]


@torch.library.custom_op("miniclip::contrastive_backward", mutates_args=())
def contrastive_backward(
    upstream: Tensor,
    kept: list[Tensor],
    backend: str,
    image_dtype: torch.dtype,
    text_dtype: torch.dtype,
    chunk: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients by image, text and logit_scale (float64), from what `contrastive` returned."""
    ops = importlib.import_module(BACKENDS[backend])
    return backward(
        upstream, tuple(kept), ops, LocalCollectives(), (image_dtype, text_dtype), chunk or None
    )


@contrastive_backward.register_fake
def _(upstream, kept, backend, image_dtype, text_dtype, chunk):
    """The same shapes and dtypes without computing."""
    rows, columns = kept[0], kept[2]
    d_image = rows.new_empty(rows.shape, dtype=image_dtype)
    d_text = rows.new_empty(columns.shape, dtype=text_dtype)
    return d_image, d_text, double(upstream.new_empty(()))


def _remember(ctx, inputs, output):
    """What the backward operator is called with."""
    image, text, logit_scale, backend, _, chunk = inputs
    ctx.save_for_backward(*output[1:])
    ctx.how = backend, image.dtype, text.dtype, chunk
    ctx.like = logit_scale.dtype, logit_scale.device, logit_scale.shape


def _differentiate(ctx, upstream, *others):
    """The gradients by image, text and logit_scale; the nine other outputs have none."""
    kept = list(ctx.saved_tensors)
    d_image, d_text, d_scale = contrastive_backward(upstream, kept, *ctx.how)
    dtype, device, shape = ctx.like
    return d_image, d_text, d_scale.to(dtype).to(device).reshape(shape), None, None, None


contrastive.register_autograd(_differentiate, setup_context=_remember)
