"""Plausible wrong answers to lessons/exercises/ex09_1_gradient.py."""

import torch


def _probabilities(rows, columns, scale_log2, lse_rows, lse_columns):
    s = scale_log2 * rows @ columns.T
    return torch.exp2(s - lse_rows[:, None]), torch.exp2(s - lse_columns)


def _products(g, rows, columns, unit=0.5):
    return g @ columns, g.T @ rows, unit


def subtracts_one_from_the_probability(
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
    p_rows, p_columns = _probabilities(rows, columns, scale_log2, lse_rows, lse_columns)
    g = p_rows + p_columns
    g.diagonal(offset).sub_(2)
    return _products(g, rows, columns)


def only_the_rows_softmax(
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
    g, _ = _probabilities(rows, columns, scale_log2, lse_rows, lse_columns)
    g.diagonal(offset).copy_(-one_minus_p_rows)
    return _products(g, rows, columns, 1.0)


def the_match_is_always_on_the_diagonal(
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
    p_rows, p_columns = _probabilities(rows, columns, scale_log2, lse_rows, lse_columns)
    g = p_rows + p_columns
    g.diagonal().copy_(-(one_minus_p_rows + one_minus_p_columns[: len(rows)]))
    return _products(g, rows, columns)


def the_match_pushes_away(
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
    p_rows, p_columns = _probabilities(rows, columns, scale_log2, lse_rows, lse_columns)
    g = p_rows + p_columns
    g.diagonal(offset).copy_(one_minus_p_rows + one_minus_p_columns[offset : offset + len(rows)])
    return _products(g, rows, columns)


def forgets_the_half(
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
    p_rows, p_columns = _probabilities(rows, columns, scale_log2, lse_rows, lse_columns)
    g = p_rows + p_columns
    g.diagonal(offset).copy_(-(one_minus_p_rows + one_minus_p_columns[offset : offset + len(rows)]))
    return _products(g, rows, columns, 1.0)


def _in_chunks(chunk, offset_of, add, inputs):
    rows, columns, scale_log2, lse_rows, lse_columns, one_minus_p_rows, one_minus_p_columns = inputs
    g_rows, g_columns = torch.zeros_like(rows), torch.zeros_like(columns)
    for start in range(0, len(rows), chunk):
        part = slice(start, start + chunk)
        p_rows, p_columns = _probabilities(
            rows[part], columns, scale_log2, lse_rows[part], lse_columns
        )
        g, first = p_rows + p_columns, offset_of(start)
        matches = one_minus_p_columns[first : first + len(g)]
        g.diagonal(first).copy_(-(one_minus_p_rows[part] + matches))
        g_rows[part] = g @ columns
        g_columns = g_columns * add + g.T @ rows[part]
    return g_rows, g_columns, 0.5


def each_chunk_begins_at_the_first_match(
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
    inputs = rows, columns, scale_log2, lse_rows, lse_columns, one_minus_p_rows, one_minus_p_columns
    return _in_chunks(chunk, lambda start: offset, 1, inputs)


def keeps_the_columns_of_the_last_chunk_only(
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
    inputs = rows, columns, scale_log2, lse_rows, lse_columns, one_minus_p_rows, one_minus_p_columns
    return _in_chunks(chunk, lambda start: offset + start, 0, inputs)
