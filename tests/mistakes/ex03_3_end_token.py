"""Plausible wrong places to read a sentence at."""

import torch


def the_last_position(x, tokens):
    return x[:, -1]


def every_text_at_every_end(x, tokens):
    return x[:, tokens.argmax(dim=1)][:, 0]


def the_last_token_that_is_not_padding(x, tokens):
    return x[torch.arange(len(x)), (tokens != 0).sum(dim=1) - 1]


def one_before_the_end(x, tokens):
    return x[torch.arange(len(x)), (tokens.argmax(dim=1) - 1).clamp(min=0)]


def the_mean_up_to_the_end(x, tokens):
    read = torch.arange(tokens.shape[1]) <= tokens.argmax(dim=1, keepdim=True)
    return (x * read[..., None]).sum(1) / read.sum(1, keepdim=True)
