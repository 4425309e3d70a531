"""Plausible wrong answers to lessons/exercises/ex06_2_finish.py."""

import math

import torch

_LN2 = math.log(2)


def one_minus_the_probability(z, shift, matched):
    others = z.double().log2() + shift.double()
    lse = torch.logaddexp2(others, matched)
    p = torch.exp2(matched - lse)
    return -p.log(), (1 - p).to(z.dtype), lse.to(z.dtype)


def the_loss_stays_in_bits(z, shift, matched):
    others = z.double().log2() + shift.double()
    lse = torch.logaddexp2(others, matched).to(z.dtype)
    loss = torch.nn.functional.softplus(_LN2 * (others - matched), threshold=50) / _LN2
    return loss, torch.exp2(others - lse.double()).to(z.dtype), lse


def adds_the_exponentials(z, shift, matched):
    others, e = z.double() * torch.exp2(shift.double()), torch.exp2(matched)
    lse = torch.log2((others + e).to(z.dtype))
    return torch.log1p(others / e), (others / (others + e)).to(z.dtype), lse


def forgets_the_shift(z, shift, matched):
    others = z.double().log2()
    lse = torch.logaddexp2(others, matched).to(z.dtype)
    loss = torch.nn.functional.softplus(_LN2 * (others - matched), threshold=50)
    return loss, torch.exp2(others - lse.double()).to(z.dtype), lse


def one_minus_p_from_the_unrounded_lse(z, shift, matched):
    lead = _LN2 * (z.double().log2() + shift.double() - matched)
    lse = torch.logaddexp2(z.double().log2() + shift.double(), matched).to(z.dtype)
    return torch.nn.functional.softplus(lead, threshold=50), lead.sigmoid().to(z.dtype), lse
