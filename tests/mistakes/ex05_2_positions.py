"""Plausible wrong ways to resize position embeddings."""

import torch
from torch.nn import functional as F


def _resize(positions, grid, mode="bicubic", antialias=True, **options):
    side = int((len(positions) - 1) ** 0.5)
    if side * side + 1 != len(positions):
        raise ValueError("not one and a square")
    cells = positions[1:].T.reshape(1, -1, side, side)
    cells = F.interpolate(cells, (grid, grid), mode=mode, antialias=antialias, **options)
    return torch.cat([positions[:1], cells.flatten(2)[0].T])


def the_class_token_is_mixed_in(positions, grid):
    side = int((len(positions) - 1) ** 0.5)
    if side * side + 1 != len(positions):
        raise ValueError("not one and a square")
    x = F.interpolate(positions.T[None], grid * grid + 1, mode="linear")
    return x[0].T


def without_antialiasing(positions, grid):
    return _resize(positions, grid, antialias=False)


def width_and_grid_are_confused(positions, grid):
    side = int((len(positions) - 1) ** 0.5)
    if side * side + 1 != len(positions):
        raise ValueError("not one and a square")
    cells = positions[1:].reshape(1, -1, side, side)
    cells = F.interpolate(cells, (grid, grid), mode="bicubic", antialias=True)
    return torch.cat([positions[:1], cells.flatten(2)[0].T])


def rows_and_columns_are_swapped(positions, grid):
    resized = _resize(positions, grid)
    cells = resized[1:].reshape(grid, grid, -1).transpose(0, 1).reshape(grid * grid, -1)
    return torch.cat([resized[:1], cells])


def a_remainder_is_cut_off(positions, grid):
    side = int((len(positions) - 1) ** 0.5)
    return _resize(positions[: side * side + 1], grid)
