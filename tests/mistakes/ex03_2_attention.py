"""Plausible wrong attentions."""

import math

import torch


def _scores(q, k, causal, diagonal=1):
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    if causal:
        scores = scores.masked_fill(torch.ones_like(scores).triu(diagonal).bool(), -torch.inf)
    return scores


def scaled_by_d_instead_of_its_root(q, k, v, causal=False):
    return (_scores(q, k, causal) / math.sqrt(q.shape[-1])).softmax(-1) @ v


def softmax_over_the_queries(q, k, v, causal=False):
    return _scores(q, k, causal).softmax(-2).nan_to_num() @ v


def masked_after_the_softmax(q, k, v, causal=False):
    weights = _scores(q, k, False).softmax(-1)
    return (weights.tril() if causal else weights) @ v


def masked_with_zero_scores(q, k, v, causal=False):
    scores = _scores(q, k, False)
    return (scores.tril() if causal else scores).softmax(-1) @ v


def the_mask_hides_the_past(q, k, v, causal=False):
    scores = _scores(q, k, False)
    if causal:
        scores = scores.masked_fill(torch.ones_like(scores).tril(-1).bool(), -torch.inf)
    return scores.softmax(-1) @ v


def the_mask_hides_the_present(q, k, v, causal=False):
    return _scores(q, k, causal, diagonal=0).softmax(-1).nan_to_num() @ v


def exponentials_without_a_shift(q, k, v, causal=False):
    weights = _scores(q, k, causal).exp()
    return weights / weights.sum(-1, keepdim=True) @ v
