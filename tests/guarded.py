"""Tensors whose neighbours in memory are NaN, so that a kernel which reads or writes outside shows."""

import torch

MARGIN = 4096  # elements on either side: also a multiple of 16 bytes


def guarded(values, device="cpu"):
    """A contiguous copy of values with NaN on both sides of it in memory."""
    around = torch.full((values.numel() + 2 * MARGIN,), torch.nan, dtype=values.dtype)
    inside = around.to(device)[MARGIN:-MARGIN].view(values.shape)
    return inside.copy_(values)


def untouched(inside):
    """Whether the neighbours of a guarded tensor are still NaN."""
    around = inside.new_empty(0).set_(inside.untyped_storage())
    return bool(around[:MARGIN].isnan().all() and around[-MARGIN:].isnan().all())
