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
