"""Plausible wrong ways to round at random."""

import torch


def _cut(x, noise):
    bits = (x.view(torch.int32) + noise) & -(2**16)
    return torch.where(x.isfinite(), bits.view(torch.float32), x).bfloat16()


def _noise(x, generator, top=2**16, shape=None):
    shape = x.shape if shape is None else shape
    return torch.randint(0, top, shape, dtype=torch.int32, device=x.device, generator=generator)


def rounds_to_nearest(x, generator=None):
    return x.bfloat16()


def cuts_without_noise(x, generator=None):
    return _cut(x, torch.zeros_like(x, dtype=torch.int32))


def tosses_a_coin_whatever_the_distance(x, generator=None):
    up = _noise(x, generator, 2).bool() & ((x.view(torch.int32) & 0xFFFF) != 0)
    return _cut(x, torch.where(up, 0xFFFF, 0).int())


def noise_of_half_a_unit(x, generator=None):
    return _cut(x, _noise(x, generator, 2**15))


def one_number_for_all(x, generator=None):
    return _cut(x, _noise(x, generator, shape=()))


def forgets_the_generator(x, generator=None):
    return _cut(x, _noise(x, None))


def leaves_the_cut_to_the_cast(x, generator=None):
    # the sum is rounded to nearest again, so values move that bfloat16 holds
    noisy = (x.view(torch.int32) + _noise(x, generator)).view(torch.float32)
    return torch.where(x.isfinite(), noisy, x).bfloat16()


def turns_nan_into_numbers(x, generator=None):
    bits = (x.view(torch.int32) + _noise(x, generator)) & -(2**16)
    return bits.view(torch.float32).bfloat16()


def noise_relative_to_the_value(x, generator=None):
    noise = torch.rand(x.shape, generator=generator, device=x.device) - 0.5
    return (x * (1 + noise * 2**-7)).bfloat16()
