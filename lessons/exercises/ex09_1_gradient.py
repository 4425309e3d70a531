"""09  The gradient without its matrix. Read lessons/09_backward.md, then make this file green.

The last law records every operation of torch that your function calls, and how many numbers its result has.
"""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

ANSWER = "kernels.reference:gradient"


def gradient(
    rows,
    columns,
    scale_log2,
    lse_rows,
    lse_columns,
    one_minus_p_rows,
    one_minus_p_columns,
    offset,
    chunk,
):
    """The products of G with the features, which are the features' gradients up to a factor.

    rows: (M, D), columns: (N, D), of length 1; lse_*, one_minus_p_*: what `loss_from_sums` returned
    for all M rows and N columns. The match of row i is column i + offset. G is made for `chunk`
    rows at a time. Returns (g_rows (M, D), g_columns (N, D), unit) with unit * g_rows = G @ columns
    and unit * g_columns = G.T @ rows, where

        G[i, j] = d (N loss) / d logits[i, j] = (P_row[i, j] + P_col[i, j] - 2 [j matches i]) / 2

    At a match, -one_minus_p_row is used in the place of P_row - 1, so that no digits cancel.
    """
    raise NotImplementedError  # about 12 lines


seeds, widths = st.integers(0, 10**6), st.integers(2, 12)


def close(got, true, what, cause, rtol=1e-9, atol=1e-11):
    assert got.shape == true.shape, f"{what}: shape {(*got.shape,)}, not {(*true.shape,)}"
    error = (got - true).abs().max()
    equal = torch.allclose(got, true, rtol, atol)
    assert equal, f"{what} is off by up to {error:.1e}. {cause}"


def block(n, d, seed):
    """Unit rows and columns, the scale, and the four vectors of the forward pass."""
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.randn(2, n, d, generator=generator, dtype=torch.float64)
    rows, columns = (x / x.norm(dim=1, keepdim=True) for x in (rows, columns))
    scale_log2 = torch.tensor(7.0, dtype=torch.float64)
    s = scale_log2 * rows @ columns.T
    lse = torch.log2(torch.exp2(s).sum(1)), torch.log2(torch.exp2(s).sum(0))
    others = torch.exp2(s).fill_diagonal_(0)
    one_minus_p = others.sum(1) / torch.exp2(lse[0]), others.sum(0) / torch.exp2(lse[1])
    return rows, columns, scale_log2, *lse, *one_minus_p


@given(st.integers(1, 12), widths, seeds)
def test_it_is_the_gradient_of_both_cross_entropies(n, d, seed):
    rows, columns, scale_log2, *softmaxes = block(n, d, seed)
    x, y = rows.clone().requires_grad_(), columns.clone().requires_grad_()
    nats = scale_log2 * math.log(2)  # the scale, by which the caller of `gradient` multiplies
    logits = x @ y.T * nats
    sums_of_logs = logits.logsumexp(1).sum() + logits.logsumexp(0).sum()
    (sums_of_logs / 2 - logits.diagonal().sum()).backward()
    g_rows, g_columns, unit = gradient(rows, columns, scale_log2, *softmaxes, 0, n)
    cause = (
        "It needs both softmaxes and the matches' minus: lesson 09, 'Three pairs by hand'. `unit` is in "
        "'The diagonal, without subtracting'."
    )
    close(g_rows * unit * nats, x.grad, "The rows' gradient, against autograd,", cause)
    close(g_columns * unit * nats, y.grad, "The columns' gradient, against autograd,", cause)


@given(st.integers(2, 12), widths, seeds, st.data())
def test_ranks_share_the_work(n, d, seed, data):
    """The rows of two ranks against all columns, offsets apart, are the rows of one."""
    rows, columns, scale_log2, *softmaxes = block(n, d, seed)
    lse_rows, lse_columns, p_rows, p_columns = softmaxes
    cut = data.draw(st.integers(1, n - 1))
    whole = gradient(rows, columns, scale_log2, *softmaxes, 0, n)
    parts = []
    for part in (slice(0, cut), slice(cut, n)):
        vectors = lse_rows[part], lse_columns, p_rows[part], p_columns
        parts.append(gradient(rows[part], columns, scale_log2, *vectors, part.start, n))
    of_rows = torch.cat([p[0] * p[2] for p in parts])
    cause = (
        f"The match of row r of the second part is column r + offset, offset {cut}, and not column r: "
        "lesson 09, 'The diagonal, without subtracting'."
    )
    close(of_rows, whole[0] * whole[2], f"The rows' gradient, in two parts cut at {cut},", cause)
    of_columns = sum(p[1] * p[2] for p in parts)
    close(
        of_columns,
        whole[1] * whole[2],
        f"The columns' gradient, summed over both, cut at {cut},",
        cause,
    )


@given(st.integers(2, 12), widths, seeds, st.data())
def test_chunks_change_nothing(n, d, seed, data):
    rows, columns, scale_log2, *softmaxes = block(n, d, seed)
    chunk = data.draw(st.integers(1, n - 1))
    whole, parts = (gradient(rows, columns, scale_log2, *softmaxes, 0, c) for c in (n, chunk))
    cause = (
        "Each chunk overwrites its own matches, and adds to g_columns what the chunks before it left "
        "there: lesson 09, 'A chunk at a time'."
    )
    for which, name in enumerate(("rows", "columns")):
        what = f"The {name}' gradient, in chunks of {chunk} of {n} rows,"
        close(parts[which] * parts[2], whole[which] * whole[2], what, cause)


def test_a_memorised_batch_keeps_a_gradient_that_float32_can_hold():
    """one_minus_p is 2e-9 where 1 - P is 0 in float32: the diagonal must be made of one_minus_p."""
    rows = torch.eye(3)
    scale_log2, lse = torch.tensor(30.0), torch.full((3,), 30.0)
    one_minus_p = torch.full((3,), 2 * 2.0**-30)
    g_rows, _, unit = gradient(rows, rows, scale_log2, lse, lse, one_minus_p, one_minus_p, 0, 3)
    want = torch.full((3, 3), 2.0**-30).fill_diagonal_(-(2.0**-29))
    # float32: S is rounded at 30 bits, by up to 2e-6, and exp2 makes 1.3e-6 of the result of that
    cause = "1 - 2e-9 is 1 in float32: lesson 09, 'The diagonal, without subtracting'."
    close(g_rows * unit, want, "The gradient of a likely match", cause, rtol=1e-5, atol=0)


class Largest(TorchDispatchMode):
    """Records the operation of torch whose result has the most numbers."""

    def __init__(self):
        super().__init__()
        self.numbers, self.operation = 0, "none"

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            if torch.is_tensor(tensor) and tensor.numel() > self.numbers:
                self.numbers, self.operation = tensor.numel(), operation
        return result


@given(st.integers(12, 40), st.integers(1, 4), st.integers(2, 4), seeds)
def test_no_operation_makes_more_than_a_chunk(n, chunk, d, seed):
    """c x N numbers of a chunk, or N x D of features."""
    arguments = block(n, d, seed)
    with Largest() as largest:
        gradient(*arguments, 0, chunk)
    allowed = n * max(chunk, d)
    assert largest.numbers <= allowed, (
        f"{largest.operation} made {largest.numbers:,} numbers. With chunks of {chunk} rows, N = {n} and "
        f"D = {d} nothing needs more than {allowed:,}; the whole matrix has {n * n:,}"
    )


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_it_is_the_gradient_of_both_cross_entropies": (
        "Try the three pairs of the lesson. Is unit * g_rows the table 'G Y' there?",
        "An element that is not a match is half the sum of two probabilities, 2^(S - lse) of its row and of its "
        "column. A match is minus half the sum of both one_minus_p (lesson 09, the drawing of the tile).",
        "s = scale_log2 * rows @ columns.T; g = torch.exp2(s - lse_rows[:, None]) + torch.exp2(s - lse_columns), "
        "then its matches; return g @ columns, g.T @ rows, 0.5",
    ),
    "test_ranks_share_the_work": (
        "rows has fewer rows than columns here. Which column belongs to the first of them?",
        "The match of row r is column r + offset: lesson 09, 'The diagonal, without subtracting'. one_minus_p_columns "
        "is that of the match, too.",
        "matches = g.diagonal(offset), and their columns' part is one_minus_p_columns[offset : offset + len(matches)].",
    ),
    "test_chunks_change_nothing": (
        "What is different for the second chunk: its rows, its matches, its part of both results?",
        "A chunk that begins at row `start` has its matches from column start + offset on. It gives complete "
        "rows of g_rows, and only a part of g_columns, which is added (lesson 09, 'A chunk at a time').",
        "for start in range(0, len(rows), chunk): g.diagonal(start + offset), g_rows[start : start + chunk] = "
        "g @ columns, g_columns += g.T @ rows[start : start + chunk]",
    ),
    "test_a_memorised_batch_keeps_a_gradient_that_float32_can_hold": (
        "How do you get p - 1 at a match?",
        "p is 1 in float32 here, so p - 1 is 0. The matches are made of one_minus_p alone, and p at a match is "
        "overwritten: lesson 09, 'The diagonal, without subtracting'.",
        "g.diagonal(first).copy_(-(one_minus_p_rows[here] + one_minus_p_columns[first : first + c])), c rows",
    ),
    "test_no_operation_makes_more_than_a_chunk": (
        "The message names the operation with the largest result. Is it inside your loop over chunks?",
        "All N columns at once are allowed, but only `chunk` rows. What has M x N numbers is what the lesson "
        "avoids (lesson 09, 'A chunk at a time').",
        "for start in range(0, len(rows), chunk): part = rows[start : start + chunk], and all else from `part`.",
    ),
}
DIFFERS = (
    "The library writes each chunk into the same scratch memory, because fresh temporaries took 1.7 times as long, "
    "and takes its exponentials a few rows at a time, which stay in the CPU's cache."
)
