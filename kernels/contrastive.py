"""The contrastive loss from block operations: forward, backward, one device or many.

    normalize -> sums of one block -> all-reduce the column sums -> rescue -> finish
    gradient of the block -> reduce-scatter the column gradients -> normalize backward

Written once. `ops` is a module of block operations (reference.py, or the Triton one) and
`collectives` an object with the four that cross ranks; alone, each gives its argument back. The
images of this rank are the block's rows, everybody's texts its columns: each similarity is computed
by exactly one rank. No N x N tensor exists at any time. Left out: checks of the arguments
(miniclip/loss.py) and what crosses ranks (miniclip/distributed/collectives.py).
"""

import torch

from kernels.reference import accumulator
from kernels.softmax import LN2, double, fixed_shift, loss_from_sums, merge, needs_rescue


class LocalCollectives:
    """The collectives of one rank that has everything: identities."""

    offset = 0  # pairs on the ranks before this one
    world = 1

    def gather(self, x):
        """Everybody's rows, in the order of ranks. x: (M, ...) -> (N, ...)."""
        return x

    def total(self, x):
        """The sum over ranks, on every rank."""
        return x

    def largest(self, x):
        """The maximum over ranks, on every rank."""
        return x

    def scatter(self, x):
        """The sum over ranks, of which each keeps its own rows. x: (N, ...) -> (M, ...)."""
        return x


def forward(image, text, logit_scale, ops, collectives, dtype, chunk):
    """The loss, and what `backward` needs. image, text: (M, E), this rank's pairs.

    Returns (loss, kept): loss 0-d float32 (float64 for float64 operands), the mean over all N
    pairs; kept, a tuple of tensors of O(N E).
    """
    scale_log2 = (double(logit_scale.detach()).exp() / LN2).to(accumulator(dtype)).reshape(())
    scale_log2 = scale_log2.to(image.device)
    scale_log2 = scale_log2.masked_fill(
        scale_log2.isinf(), torch.nan
    )  # an infinite scale must not look like a number
    rows, row_norm = ops.normalize(image, dtype)
    own, column_norm = ops.normalize(text, dtype)
    cosines = ops.diagonal(rows, own)
    matched_rows = double(cosines) * double(scale_log2)
    columns, matched = collectives.gather(own), collectives.gather(matched_rows)
    n, offset = len(columns), collectives.offset
    chunk = chunk or ops.default_chunk(n, dtype)

    shift, floor = fixed_shift(
        scale_log2, n
    )  # the same on every rank, so column sums simply add up
    z_rows, z_columns = ops.sums(rows, columns, scale_log2, shift, offset, chunk)
    z_columns = collectives.total(z_columns)

    # rows have met every column here; columns have met the rows of one rank only
    lost = needs_rescue(z_rows, floor)
    highest, z = ops.online_sums(rows, columns, scale_log2, lost, offset, chunk)
    z_rows, shift_rows = torch.where(lost, z, z_rows), torch.where(lost, highest, shift)
    lost = needs_rescue(z_columns, floor)
    highest, z = ops.online_sums(columns, rows, scale_log2, lost, -offset, chunk)
    highest, z = merge(highest, z, collectives.largest, collectives.total)
    z_columns, shift_columns = torch.where(lost, z, z_columns), torch.where(lost, highest, shift)

    loss_rows, one_minus_p_rows, lse_rows = loss_from_sums(z_rows, shift_rows, matched_rows)
    loss_columns, one_minus_p_columns, lse_columns = loss_from_sums(
        z_columns, shift_columns, matched
    )
    loss = (collectives.total(loss_rows.sum()) + loss_columns.sum()) / (2 * n)
    kept = (rows, row_norm, columns, column_norm, scale_log2)
    kept += (lse_rows, lse_columns, one_minus_p_rows, one_minus_p_columns)
    return loss.to(scale_log2.dtype).to(scale_log2.device), kept


def backward(upstream, kept, ops, collectives, dtypes, chunk):
    """The gradients by image, text and logit_scale. upstream: 0-d; dtypes: of image and of text.

    The scale's gradient is the true one. Those of image and text, (M, E), are `world` times the
    true ones: an average over ranks, which is what DDP takes of parameters, makes them right.
    """
    rows, row_norm, columns, column_norm, scale_log2, *rest = kept
    n, offset = len(columns), collectives.offset
    chunk = chunk or ops.default_chunk(n, rows.dtype)
    g_rows, g_columns, unit = ops.gradient(rows, columns, scale_log2, *rest, offset, chunk)
    g_columns = collectives.scatter(g_columns)
    # S = exp(logit_scale) * cosine, and the loss is a mean over n
    factor = upstream.to(scale_log2.dtype) * scale_log2 * (LN2 * unit * collectives.world / n)
    own = columns[offset : offset + len(g_columns)]
    d_image, row_dot = ops.normalize_backward(g_rows, rows, row_norm, factor, dtypes[0])
    d_text, _ = ops.normalize_backward(g_columns, own, column_norm, factor, dtypes[1])
    d_scale = collectives.total(double(row_dot).sum()) / collectives.world
    return d_image, d_text, d_scale


class Contrastive(torch.autograd.Function):
    """`forward` and `backward` as one differentiable step; a second derivative is refused."""

    @staticmethod
    def forward(ctx, image, text, logit_scale, ops, collectives, dtype, chunk):
        """image, text: (M, E); logit_scale: one element; dtype: the operands'. Returns 0-d."""
        with torch.autocast(image.device.type, enabled=False):
            loss, kept = forward(image, text, logit_scale, ops, collectives, dtype, chunk)
        ctx.save_for_backward(*kept)
        ctx.how = ops, collectives, (image.dtype, text.dtype), chunk
        ctx.like = logit_scale.dtype, logit_scale.device, logit_scale.shape
        return loss

    @staticmethod
    def backward(ctx, upstream):
        """The gradients by the three tensors; see `backward`. RuntimeError under create_graph."""
        if torch.is_grad_enabled():  # a gradient penalty would silently be a constant
            raise RuntimeError(
                "the contrastive loss has no second derivative; use miniclip.loss.clip_loss for that"
            )
        with torch.autocast(upstream.device.type, enabled=False):
            d_image, d_text, d_scale = backward(upstream, ctx.saved_tensors, *ctx.how)
        dtype, device, shape = ctx.like
        d_scale = d_scale.to(dtype).to(device).reshape(shape)
        return d_image, d_text, d_scale, None, None, None, None
