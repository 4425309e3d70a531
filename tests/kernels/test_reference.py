"""The block operations in plain torch against loops over pairs, and how much they take at a time."""

import functools

import pytest
import torch

from kernels import reference
from kernels.softmax import LOWEST

close = functools.partial(torch.testing.assert_close, rtol=1e-12, atol=1e-12)


def unit_rows(n, d, seed):
    x = torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return x / x.norm(dim=1, keepdim=True)


@pytest.mark.parametrize(
    "columns, rows",
    [(1, 512), (2**14, 512), (2**14 + 1, 511), (2**15, 256), (2**19, 16), (2**23, 16)],
)
def test_a_chunk_is_32_mib_of_float32_and_16_to_512_rows(columns, rows):
    assert reference.default_chunk(columns, torch.float16) == rows


@pytest.fixture(params=[1, 2, 100])
def few(request, monkeypatch):
    """Whatever the number of rows that elementwise operations take at a time."""
    monkeypatch.setattr(reference, "few", lambda like: request.param)


def test_rows_of_length_1_and_the_way_back_are_those_of_autograd(few):
    """Squares of the third row overflow, those of the fourth vanish, and the second has no direction."""
    rows = [[3, -4], [0, 0], [1e200, 0], [1e-200, 1e-200], [0, -2]]
    x = torch.tensor(rows, dtype=torch.float64)
    largest = x.abs().amax(1, keepdim=True)
    relative = (x / torch.where(largest == 0, 1, largest)).requires_grad_()
    true = torch.nn.functional.normalize(relative, dim=1)
    g = torch.randn(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    true.backward(10 * g)
    xhat, norm = reference.normalize(x, torch.float64)
    close(xhat, true.detach())
    close(norm / largest[:, 0], torch.where(x.any(1), relative.norm(dim=1), torch.inf))
    for dtype in (torch.float32, torch.float64):
        given = g.clone()
        dx, row_dot = reference.normalize_backward(given, xhat, norm, torch.tensor(10.0), dtype)
        close(row_dot, (10 * g * true).sum(1).detach())
        want = torch.where(x.any(1, keepdim=True), relative.grad / largest, 0)
        torch.testing.assert_close(dx, want.to(dtype))
        assert (dx is given) == (dtype == torch.float64)  # in place in the dtype asked for
    narrow, wide = reference.normalize(x[:1].float(), torch.float16)
    assert (narrow.dtype, wide.dtype) == (torch.float16, torch.float32)


def test_the_matched_cosines_are_those_of_row_with_row(few):
    x, y = unit_rows(5, 3, 0), unit_rows(5, 3, 1)
    close(reference.diagonal(x, y), torch.stack([a @ b for a, b in zip(x, y)]))
    assert reference.diagonal(x.half(), y.half()).dtype == torch.float32


M, N, SCALE = 4, 6, torch.tensor(7.0, dtype=torch.float64)


def similarities(seed, offset):
    """Unit rows x (M, 3) and y (N, 3), their similarities in bits, and where row and column match."""
    x, y = unit_rows(M, 3, seed), unit_rows(N, 3, seed + 1)
    match = torch.arange(N) == torch.arange(M)[:, None] + offset
    return x, y, 7 * x @ y.T, match


@pytest.mark.parametrize("offset", [-4, -3, -1, 0, 2, 3, 5, 6])
@pytest.mark.parametrize("chunk", [1, 3, 9])
def test_sums_leave_out_the_match_wherever_it_is(offset, chunk, few):
    x, y, s, match = similarities(2, offset)
    z_rows, z_columns = reference.sums(x, y, SCALE, torch.tensor(2.0), offset, chunk)
    want = torch.where(match, 0, 2 ** (s - 2))
    close(z_rows, want.sum(1))
    close(z_columns, want.sum(0))
    others = s.masked_fill(match, -torch.inf)
    largest = others.amax(1)
    for flagged in (torch.tensor([True, False, True, True]), torch.zeros(M, dtype=torch.bool)):
        highest, z = reference.online_sums(x, y, SCALE, flagged, offset, chunk)
        close(highest, torch.where(flagged, largest, LOWEST))
        close(z, torch.where(flagged, (2 ** (others - largest[:, None])).sum(1), 0))


@pytest.mark.parametrize("offset", [0, 1, 2])
@pytest.mark.parametrize("chunk", [1, 3, 9])
def test_gradients_are_g_times_the_other_side(offset, chunk, few):
    x, y, s, match = similarities(4, offset)
    g = torch.Generator().manual_seed(6)
    one_minus_p = [torch.rand(k, generator=g, dtype=torch.float64) for k in (M, N)]
    lse = [torch.rand(k, generator=g, dtype=torch.float64) + 7 for k in (M, N)]
    g_rows, g_columns, unit = reference.gradient(x, y, SCALE, *lse, *one_minus_p, offset, chunk)
    at_match = -one_minus_p[0][:, None] - one_minus_p[1]
    G = torch.where(match, at_match, 2 ** (s - lse[0][:, None]) + 2 ** (s - lse[1])) / 2
    close(unit * g_rows, G @ y)
    close(unit * g_columns, G.T @ x)
