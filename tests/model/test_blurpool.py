"""Laws of the blur: a weighted average that changes no constant and shifts nothing."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from miniclip.model.blurpool import TAPS, BlurPool, blur_filter
from tests.model.numbers import randn
from tests.rounding import rounding

pytestmark = pytest.mark.numerics

taps = st.sampled_from(list(TAPS))


@given(taps)
def test_the_filter_is_a_symmetric_average(taps):
    weight = blur_filter(taps)
    assert weight.shape == (taps, taps) and (weight > 0).all() and weight.sum() == 1
    assert torch.equal(weight, weight.T) and torch.equal(weight, weight.flip(0))


@given(taps)
def test_the_filter_gives_every_pixel_the_same_weight_after_a_stride_of_two(taps):
    # otherwise the gradient would have a checkerboard pattern: even and odd pixels must weigh alike
    row = blur_filter(taps).sum(0)
    assert row[::2].sum() == row[1::2].sum() == 0.5


@given(taps, st.integers(2, 9), st.integers(2, 9), st.floats(-5, 5))
def test_a_constant_stays_constant(taps, height, width, value):
    x = torch.full((1, 2, height, width), value)
    y = BlurPool(taps=taps)(x)
    # the weights are sums of powers of two; what is below the smallest normal number is flushed
    allowed = rounding(torch.float32, taps**2) * abs(value) + torch.finfo(torch.float32).tiny
    assert (y - x[..., :1, :1]).abs().max() <= allowed
    rounded = (height // 2, width // 2) if taps == 2 else ((height + 1) // 2, (width + 1) // 2)
    assert y.shape[2:] == rounded


@given(taps)
def test_the_finest_stripes_vanish_instead_of_turning_into_a_grey_or_a_white(taps):
    stripes = torch.tensor([1.0, -1.0]).repeat(8).expand(1, 1, 16, 16)
    inside = BlurPool(taps=taps)(stripes)[..., 1:-1, 1:-1]
    assert torch.equal(inside, torch.zeros_like(inside))
    assert (stripes[..., ::2, ::2] == 1).all()  # what a bare stride makes of them


@pytest.mark.parametrize("taps, stride", [(2, 1), (2, 2), (3, 1), (3, 2), (3, 3), (5, 2), (5, 3)])
def test_it_is_a_blur_of_each_channel_and_then_a_stride(taps, stride):
    x, edge = randn(1, 2, 12, 12), 0 if taps == 2 else taps // 2
    padded = F.pad(x, (edge,) * 4, mode="replicate")
    blurred = F.conv2d(padded, blur_filter(taps).double().expand(2, 1, taps, taps), groups=2)
    want = x if stride == 1 else blurred[..., ::stride, ::stride]
    assert torch.allclose(BlurPool(stride, taps)(x), want)


def test_nothing_fixed_is_in_the_state_dict():
    assert not BlurPool(taps=3).state_dict() and not list(BlurPool(taps=3).parameters())
