"""Plausible wrong answers to lessons/exercises/ex08_normalize.py."""

import torch


def forgets_to_project(g, xhat, norm, factor, dtype):
    g = g * factor
    return (g / norm[:, None]).to(dtype), (xhat * g).sum(1)


def forgets_the_norm(g, xhat, norm, factor, dtype):
    g = g * factor
    along = (xhat * g).sum(1)
    return (g - xhat * along[:, None]).to(dtype), along


def multiplies_by_the_norm(g, xhat, norm, factor, dtype):
    g = g * factor
    along = (xhat * g).sum(1)
    finite = torch.where(norm.isinf(), 0, norm)
    return ((g - xhat * along[:, None]) * finite[:, None]).to(dtype), along


def along_comes_before_the_factor(g, xhat, norm, factor, dtype):
    along = (xhat * g).sum(1)
    return (factor * (g - xhat * along[:, None]) / norm[:, None]).to(dtype), along


def projects_onto_the_row(g, xhat, norm, factor, dtype):
    along = factor * (xhat * g).sum(1)
    return (xhat * along[:, None] / norm[:, None]).to(dtype), along


def always_float32(g, xhat, norm, factor, dtype):
    g = g * factor
    along = (xhat * g).sum(1)
    return (g - xhat * along[:, None]) / norm[:, None], along
