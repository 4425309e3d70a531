"""Plausible wrong answers to lessons/exercises/ex09_1_gradient.py.

Each takes the exercise's arguments, in its order; `_block` gives them names.
"""

from collections import namedtuple

import torch

_block = namedtuple(
    "_block",
    "rows columns scale_log2 lse_rows lse_columns one_minus_p_rows one_minus_p_columns offset chunk",
)


def _probabilities(b, part=slice(None)):
    s = b.scale_log2 * b.rows[part] @ b.columns.T
    return torch.exp2(s - b.lse_rows[part, None]), torch.exp2(s - b.lse_columns)


def _one_minus_p(b, first, part=slice(None)):
    rows = b.one_minus_p_rows[part]
    return rows + b.one_minus_p_columns[first : first + len(rows)]


def _products(g, b, unit=0.5):
    return g @ b.columns, g.T @ b.rows, unit


def subtracts_one_from_the_probability(*inputs):
    b = _block(*inputs)
    g = sum(_probabilities(b))
    g.diagonal(b.offset).sub_(2)
    return _products(g, b)


def only_the_rows_softmax(*inputs):
    b = _block(*inputs)
    g, _ = _probabilities(b)
    g.diagonal(b.offset).copy_(-b.one_minus_p_rows)
    return _products(g, b, 1.0)


def the_match_is_always_on_the_diagonal(*inputs):
    b = _block(*inputs)
    g = sum(_probabilities(b))
    g.diagonal().copy_(-_one_minus_p(b, 0))
    return _products(g, b)


def the_match_pushes_away(*inputs):
    b = _block(*inputs)
    g = sum(_probabilities(b))
    g.diagonal(b.offset).copy_(_one_minus_p(b, b.offset))
    return _products(g, b)


def forgets_the_half(*inputs):
    b = _block(*inputs)
    g = sum(_probabilities(b))
    g.diagonal(b.offset).copy_(-_one_minus_p(b, b.offset))
    return _products(g, b, 1.0)


def _in_chunks(b, moves, keeps):
    """Right where the matches move by the rows of the chunks before, and their sums are kept."""
    g_rows, g_columns = torch.zeros_like(b.rows), torch.zeros_like(b.columns)
    for start in range(0, len(b.rows), b.chunk):
        part, first = slice(start, start + b.chunk), b.offset + moves * start
        g = sum(_probabilities(b, part))
        g.diagonal(first).copy_(-_one_minus_p(b, first, part))
        g_rows[part] = g @ b.columns
        g_columns = keeps * g_columns + g.T @ b.rows[part]
    return g_rows, g_columns, 0.5


def each_chunk_begins_at_the_first_match(*inputs):
    return _in_chunks(_block(*inputs), moves=False, keeps=True)


def keeps_the_columns_of_the_last_chunk_only(*inputs):
    return _in_chunks(_block(*inputs), moves=True, keeps=False)
