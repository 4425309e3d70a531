"""Plausible wrong answers to lessons/exercises/ex09_2_normalize.py."""

import torch


def forgets_to_project(g, xhat, norm, factor, dtype):
    g = g * factor
    return (g / norm[:, None]).to(dtype), (xhat * g).sum(1)


def forgets_the_norm(g, xhat, norm, factor, dtype):
    g = g * factor
    row_dot = (xhat * g).sum(1)
    return (g - xhat * row_dot[:, None]).to(dtype), row_dot


def multiplies_by_the_norm(g, xhat, norm, factor, dtype):
    g = g * factor
    row_dot = (xhat * g).sum(1)
    finite = torch.where(norm.isinf(), 0, norm)
    return ((g - xhat * row_dot[:, None]) * finite[:, None]).to(dtype), row_dot


def row_dot_without_the_factor(g, xhat, norm, factor, dtype):
    row_dot = (xhat * g).sum(1)
    return (factor * (g - xhat * row_dot[:, None]) / norm[:, None]).to(dtype), row_dot


def projects_onto_the_row(g, xhat, norm, factor, dtype):
    row_dot = factor * (xhat * g).sum(1)
    return (xhat * row_dot[:, None] / norm[:, None]).to(dtype), row_dot


def always_float32(g, xhat, norm, factor, dtype):
    g = g * factor
    row_dot = (xhat * g).sum(1)
    return (g - xhat * row_dot[:, None]) / norm[:, None], row_dot
