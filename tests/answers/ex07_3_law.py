"""The right answer to lessons/exercises/ex07_3_law.py."""

import torch


def law(row_sums):
    """AssertionError unless row_sums is right; returns nothing.

    row_sums(x, y, scale_log2, shift) -> z: x (M, D), y (N, D), z (M,) float32 tensors, scale_log2 and
    shift floats; z[i] is the sum over all j of 2^(scale_log2 <x_i, y_j> - shift), wrong by at most one
    part in 10,000 where |scale_log2 <x_i, y_j>| is at most 20.
    """
    for m, n, d in ((1, 1, 1), (17, 20, 5), (18, 7, 20)):
        x, y = torch.randn(2, 20, d, generator=torch.Generator().manual_seed(d))
        x, y = (v / v.norm(dim=1, keepdim=True) for v in (x[:m], y[:n]))
        for shift in (-3.0, 3.0):
            z = row_sums(x, y, 10.0, shift).double()
            true = torch.exp2(10 * x.double() @ y.double().T - shift).sum(1)
            assert (z / true - 1).abs().max() < 1e-4, f"{m} x {n} rows of width {d}, shift {shift}"
