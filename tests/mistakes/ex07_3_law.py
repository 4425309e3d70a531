"""Plausible wrong answers to lessons/exercises/ex07_3_law.py: laws that are too weak, or too strict."""

import torch


def _check(row_sums, sizes, shift=-3.0, scale_log2=10.0, within=1e-4):
    for m, n, d in sizes:
        x, y = torch.randn(2, 40, d, generator=torch.Generator().manual_seed(d))
        x, y = (v / v.norm(dim=1, keepdim=True) for v in (x[:m], y[:n]))
        true = torch.exp2(scale_log2 * x.double() @ y.double().T - shift).sum(1)
        z = row_sums(x, y, scale_log2, shift).double()
        assert (z / true - 1).abs().max() <= within


def only_the_shape(row_sums):
    assert row_sums(torch.ones(3, 2), torch.ones(4, 2), 1.0, 0.0).shape == (3,)


def only_whole_tiles(row_sums):
    _check(row_sums, [(16, 16, 16), (32, 32, 16)])


def only_one_tile(row_sums):
    _check(row_sums, [(7, 9, 5), (16, 16, 16)])


def only_a_shift_of_zero(row_sums):
    _check(row_sums, [(17, 20, 5), (18, 7, 20)], shift=0.0)


def wrong_by_a_tenth_is_enough(row_sums):
    _check(row_sums, [(17, 20, 5)], within=0.1)


def must_be_exact(row_sums):
    _check(row_sums, [(17, 20, 5)], within=0.0)


def never_fails(row_sums):
    row_sums(torch.ones(3, 2), torch.ones(4, 2), 1.0, 0.0)
