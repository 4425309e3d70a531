"""The contrastive loss from block operations: forward and backward, on one device or many.

    normalize -> sums of one block -> all-reduce the column sums -> rescue -> loss from sums
    gradient of the block -> reduce-scatter the column gradients -> normalize backward

This rank's images are the rows of the block, and the texts of all ranks are its columns. So each
similarity is computed by one rank only. `ops` is a module of block operations (reference.py or
fused/launch.py). `collectives` has the four operations that cross ranks. Of the N x N matrix only a
chunk of rows exists at a time. Left out: checks of the arguments
(miniclip/loss.py) and collectives of many ranks (miniclip/distributed/collectives.py).
Lesson: lessons/10_sharding.md.
"""

import torch

from kernels.reference import accumulator
from kernels.softmax import LN2, double, fixed_shift, merge, needs_rescue


class LocalCollectives:
    """The collectives on one rank: each of the four returns its argument. On many ranks they mean:

    gather(x): (M, ...) -> (N, ...)     the rows of all ranks, in the order of ranks
    total(x), largest(x)                the sum and the maximum over ranks, on every rank
    scatter(x): (N, ...) -> (M, ...)    the sum over ranks, of which each rank gets its own rows
    """

    offset = 0  # pairs on the ranks before this one
    world = 1

    @staticmethod
    def gather(x: torch.Tensor) -> torch.Tensor:
        """x itself."""
        return x

    total = largest = scatter = gather


def forward(image, text, logit_scale, ops, collectives, dtype, chunk):
    """The loss, and what `backward` needs. image, text: (M, E), this rank's pairs.

    Returns (loss, saved): loss 0-d float32 (float64 for float64 operands), the mean over all N
    pairs; saved, a tuple of tensors of O(N E).
    """
    scale_log2 = (double(logit_scale.detach()).exp() / LN2).to(accumulator(dtype)).reshape(())
    # an infinite scale must give NaN, not a finite loss: inf + 0 inf is NaN
    scale_log2 = torch.add(scale_log2, scale_log2, alpha=0).to(image.device)
    rows, row_norm = ops.normalize(image, dtype)
    local_columns, column_norm = ops.normalize(text, dtype)
    cosine_rows = ops.diagonal(rows, local_columns)
    columns, cosine_columns = collectives.gather(local_columns), collectives.gather(cosine_rows)
    n, offset = len(columns), collectives.offset
    chunk = chunk or ops.default_chunk(n, dtype)

    # the shift is the same on every rank, so the ranks' column sums can be added
    shift, floor = fixed_shift(scale_log2, n)
    z_rows, z_columns = ops.sums(rows, columns, scale_log2, shift, offset, chunk)
    z_columns = collectives.total(z_columns)

    # A row's rescued sum is complete, because this rank has all columns. A column's rescued sum
    # covers the rows of this rank only, so it is merged with the sums of the other ranks
    flags = needs_rescue(torch.cat([z_rows, z_columns]), floor).split([len(rows), n])
    online_rows = ops.online_sums(rows, columns, scale_log2, flags[0], offset, chunk)
    online_columns = ops.online_sums(columns, rows, scale_log2, flags[1], -offset, chunk)
    if collectives.world > 1:
        online_columns = merge(*online_columns, collectives.largest, collectives.total)

    loss_rows, one_minus_p_rows, lse_rows = ops.finish(
        z_rows, flags[0], *online_rows, shift, cosine_rows, scale_log2
    )
    loss_columns, one_minus_p_columns, lse_columns = ops.finish(
        z_columns, flags[1], *online_columns, shift, cosine_columns, scale_log2
    )
    loss = (collectives.total(loss_rows.sum()) + loss_columns.sum()) / (2 * n)
    softmaxes = lse_rows, lse_columns, one_minus_p_rows, one_minus_p_columns
    saved = rows, row_norm, columns, column_norm, scale_log2, *softmaxes
    return loss.to(scale_log2.dtype).to(scale_log2.device), saved


def backward(upstream, saved, ops, collectives, dtypes, chunk):
    """The gradients of image, text and logit_scale. upstream: 0-d; dtypes: of image and of text.

    The gradient of logit_scale is the true one. The gradients of image and text, (M, E), are
    `world` times the true ones, because DDP averages the gradients of parameters over ranks.
    """
    rows, row_norm, columns, column_norm, scale_log2, *softmaxes = saved
    n, offset = len(columns), collectives.offset
    chunk = chunk or ops.default_chunk(n, rows.dtype)
    g_rows, g_columns, unit = ops.gradient(rows, columns, scale_log2, *softmaxes, offset, chunk)
    g_columns = collectives.scatter(g_columns)
    # S = exp(logit_scale) * cosine, and the loss is a mean over n
    factor = upstream.to(scale_log2.dtype) * scale_log2 * (LN2 * unit * collectives.world / n)
    local_columns = columns[offset : offset + len(g_columns)]
    d_image, row_dot = ops.normalize_backward(g_rows, rows, row_norm, factor, dtypes[0])
    d_text, _ = ops.normalize_backward(g_columns, local_columns, column_norm, factor, dtypes[1])
    d_scale = collectives.total(double(row_dot).sum()) / collectives.world
    return d_image, d_text, d_scale


class Contrastive(torch.autograd.Function):
    """`forward` and `backward` as one differentiable step; a second derivative is refused."""

    @staticmethod
    def forward(ctx, image, text, logit_scale, ops, collectives, dtype, chunk):
        """image, text: (M, E); logit_scale: one element; dtype: the operands'. Returns 0-d."""
        with torch.autocast(image.device.type, enabled=False):
            loss, saved = forward(image, text, logit_scale, ops, collectives, dtype, chunk)
        ctx.save_for_backward(*saved)
        ctx.arguments = ops, collectives, (image.dtype, text.dtype), chunk
        ctx.scale = logit_scale.dtype, logit_scale.device, logit_scale.shape
        return loss

    @staticmethod
    def backward(ctx, upstream):
        """The gradients of the three tensors; see `backward`. RuntimeError under create_graph."""
        if torch.is_grad_enabled():  # a gradient penalty would silently be a constant
            raise RuntimeError(
                "the contrastive loss has no second derivative; use miniclip.loss.clip_loss for that"
            )
        with torch.autocast(upstream.device.type, enabled=False):
            d_image, d_text, d_scale = backward(upstream, ctx.saved_tensors, *ctx.arguments)
        dtype, device, shape = ctx.scale
        d_scale = d_scale.to(dtype).to(device).reshape(shape)  # in this order: mps has no float64
        return d_image, d_text, d_scale, None, None, None, None
