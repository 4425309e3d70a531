"""The block operations in plain torch, for CPUs and where Triton is missing.

A block is `rows` (this rank's M images) against `columns` (the N texts of all ranks). The match of
row i is column i + offset. Only a chunk of c rows of similarities exists at a time, in scratch that
is allocated once (fresh temporaries took 1.7 times as long). Elementwise operations take a few rows
of the chunk at a time, which stay in the cache from one operation to the next. Operands are unit
rows in the dtype asked for. Sums and products are float32, or float64 for float64 operands.
fused/launch.py has operations of the same names and arguments. Left out: ranks and autograd
(contrastive.py).
"""

import torch
from torch import Tensor

from kernels.softmax import LOWEST, absorb, double, loss_from_sums

# the values of an argument called `precision`; the commands' options do not take fp64
PRECISIONS = {
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    "fp32": torch.float32,
    "fp64": torch.float64,
}


def accumulator(dtype: torch.dtype) -> torch.dtype:
    """The dtype of sums: float64 for float64 operands, float32 for all others."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def default_chunk(columns: int, dtype: torch.dtype) -> int:
    """How many rows of similarities exist at a time: 32 MiB of float32, but 16 to 512 rows."""
    return max(16, min(512, 2**23 // columns))


def few(like: Tensor) -> int:
    """How many rows of a matrix like this an elementwise operation takes at a time, at least 1.

    On a CPU these are 512 KiB of float32 per thread, a quarter of an L2 cache of 2 MiB. Elsewhere
    they are 64 MiB, so that there are few launches.
    """
    elements = 2**17 * torch.get_num_threads() if like.device.type == "cpu" else 2**24
    return max(1, elements // like.shape[1])


def normalize(x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Rows scaled to length 1. x: (M, D) -> (xhat (M, D) in dtype, norm (M,) float32 or 64).

    A row of zeros stays zero, and its norm is given as infinite, so that dividing by the norm makes
    its gradient zero. A row is divided by its largest magnitude first, so that squares neither
    overflow nor underflow.
    """
    xhat = torch.empty(x.shape, dtype=dtype, device=x.device)
    norm = torch.empty(len(x), dtype=accumulator(dtype), device=x.device)
    for part, out, length in zip(*(t.split(few(x)) for t in (x, xhat, norm))):
        part = part.to(norm.dtype)
        largest = part.abs().amax(1, keepdim=True)
        largest.masked_fill_(largest == 0, 1)
        part = part / largest
        relative = part.square().sum(1, keepdim=True).sqrt()  # 1 to sqrt(D), or 0
        relative.masked_fill_(relative == 0, torch.inf)
        out.copy_(part.div_(relative))
        length.copy_((largest * relative).squeeze(1))
    return xhat, norm


def normalize_backward(g, xhat, norm, factor, dtype):
    """Back through `normalize`. g, xhat: (M, D); norm: (M,) -> (dx (M, D) in dtype, row_dot (M,)).

    g' = factor * g is the gradient of the loss with respect to xhat, and g may be overwritten. dx
    is the gradient with respect to the features before `normalize`. Each row of dx is perpendicular
    to the features of that row. row_dot = <xhat, g'>. The sum of row_dot over all pictures (or over
    all captions) is the gradient of logit_scale, because the loss depends on logit_scale and xhat
    only through the products exp(logit_scale) <xhat, yhat>.
    """
    row_dot = torch.empty_like(norm)
    dx = g if g.dtype == dtype else torch.empty(g.shape, dtype=dtype, device=g.device)
    tensors = g, xhat, norm, row_dot, dx
    for g_part, xhat_part, length, dot, out in zip(*(t.split(few(g)) for t in tensors)):
        g_part.mul_(factor)
        unit = xhat_part.to(g.dtype)
        torch.sum(unit * g_part, 1, out=dot)
        out.copy_(g_part.sub_(unit * dot[:, None]).div_(length[:, None]))
    return dx, row_dot


def diagonal(x: Tensor, y: Tensor) -> Tensor:
    """Cosines of the matched pairs. x, y: (M, D) unit rows -> (M,)."""
    out = torch.empty(len(x), dtype=accumulator(x.dtype), device=x.device)
    for a, b, cosine in zip(*(t.split(few(x)) for t in (x, y, out))):
        torch.sum(a.to(out.dtype) * b.to(out.dtype), 1, out=cosine)
    return out


def sums(
    rows: Tensor, columns: Tensor, scale_log2: Tensor, shift: Tensor, offset: int, chunk: int
) -> tuple[Tensor, Tensor]:
    """Sums of a block's exponentials without the matches, for each row and for each column.

    rows: (M, D), columns: (N, D) unit rows; scale_log2, shift: 0-d. Returns z_rows (M,) and
    z_columns (N,), the sums of 2^(S - shift) with S = scale_log2 * cosine.
    """
    acc = accumulator(rows.dtype)
    columns = columns.to(acc)
    z_rows = torch.empty(len(rows), dtype=acc, device=rows.device)
    z_columns = torch.zeros(len(columns), dtype=acc, device=rows.device)
    by_column = torch.empty_like(z_columns)
    scratch = z_rows.new_empty(min(chunk, len(rows)), len(columns))
    for start in range(0, len(rows), chunk):
        part = rows[start : start + chunk].to(acc) * scale_log2
        s = torch.mm(part, columns.T, out=scratch[: len(part)])  # (c, N), in bits
        s.diagonal(start + offset).fill_(-torch.inf)
        by_column.zero_()
        for e, z in zip(*(t.split(few(s)) for t in (s, z_rows[start : start + chunk]))):
            torch.sum(e.sub_(shift).exp2_(), 1, out=z)
            by_column += e.sum(0)
        z_columns += by_column  # once per chunk: M additions in sequence would lose digits
    return z_rows, z_columns


def online_sums(
    mine: Tensor, others: Tensor, scale_log2: Tensor, flagged: Tensor, offset: int, chunk: int
) -> tuple[Tensor, Tensor]:
    """The row sums of `sums` for the flagged rows of `mine`. The shift of a row is its own maximum,
    so that its sum does not underflow to zero.

    mine: (M, D); others: (N, D); flagged: (M,) bool. The match of mine[i] is others[i + offset],
    and offset may be negative. Returns (highest, z), both (M,). highest is the largest S of the
    row, without the match (LOWEST if nothing else is in the row), and z is the sum of 2^(S -
    highest). Rows that are not flagged get (LOWEST, 0).

    Here the host waits for the device, to learn which rows are flagged. With the Triton kernel it
    does not.
    """
    acc = accumulator(mine.dtype)
    highest = torch.full((len(mine),), LOWEST, dtype=acc, device=mine.device)
    z = torch.zeros_like(highest)
    if not flagged.any():
        return highest, z
    others = others.to(acc)
    for which in flagged.nonzero().squeeze(1).split(chunk):
        s = mine[which].to(acc) * scale_log2 @ others.T  # (c, N)
        match = which + offset
        matched = (match >= 0) & (match < len(others))
        s[matched.nonzero().squeeze(1), match[matched]] = -torch.inf
        highest[which], z[which] = absorb(highest[which], z[which], s)
    return highest, z


def finish(z, flagged, highest, rescued, shift, cosines, scale_log2):
    """`loss_from_sums` of all rows: (loss float64, one_minus_p, lse), each (M,).

    z: what `sums` returned with this shift (0-d); highest, rescued: what `online_sums` returned for
    the flagged rows; cosines: of the matched pairs.
    """
    z, shift = torch.where(flagged, rescued, z), torch.where(flagged, highest, shift)
    return loss_from_sums(z, shift, double(cosines) * double(scale_log2))


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
    acc = accumulator(rows.dtype)
    columns = columns.to(acc)
    g_rows = torch.empty(rows.shape, dtype=acc, device=rows.device)
    g_columns = torch.zeros(columns.shape, dtype=acc, device=rows.device)
    scratch = g_rows.new_empty(min(chunk, len(rows)), len(columns))
    p_columns = torch.empty_like(scratch[: few(scratch)])
    for start in range(0, len(rows), chunk):
        here, first = slice(start, start + chunk), start + offset
        part = rows[here].to(acc)
        # (c, N): S before the loop, and 2 G after it, except at the matches
        g = torch.mm(part * scale_log2, columns.T, out=scratch[: len(part)])
        for s, lse in zip(*(t.split(len(p_columns)) for t in (g, lse_rows[here, None]))):
            p = torch.sub(s, lse_columns, out=p_columns[: len(s)]).exp2_()
            s.sub_(lse).exp2_().add_(p)
        matches = g.diagonal(first)
        of_columns = one_minus_p_columns[first : first + len(matches)]
        matches.copy_((one_minus_p_rows[start : start + len(matches)] + of_columns).neg_())
        torch.mm(g, columns, out=g_rows[here])
        g_columns.addmm_(g.T, part)
    return g_rows, g_columns, 0.5
