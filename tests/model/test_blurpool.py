"""Laws of the blur: an average with weights that change no constant, and let no fine stripe pass."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from miniclip.model.blurpool import TAPS, BlurPool, blur_filter
from tests.model.numbers import randn

pytestmark = pytest.mark.numerics


@pytest.mark.parametrize("taps", TAPS)
def test_the_filter_is_a_symmetric_average(taps):
    weight = blur_filter(taps)
    assert weight.shape == (taps, taps) and (weight > 0).all() and weight.sum() == 1
    assert torch.equal(weight, weight.T) and torch.equal(weight, weight.flip(0))
    # every pixel has the same weight after a stride of two, so the finest stripes vanish, and the
    # gradient has no checkerboard pattern
    row = weight.sum(0)
    assert row[::2].sum() == row[1::2].sum() == 0.5


@given(
    st.sampled_from([(2, 1), (2, 2), (3, 1), (3, 2), (3, 3), (5, 2), (5, 3)]),
    st.integers(2, 12),
    st.integers(2, 12),
)
def test_it_is_a_blur_of_each_channel_and_then_a_stride(how, height, width):
    taps, stride = how
    x, edge = randn(1, 2, height, width), 0 if taps == 2 else taps // 2
    padded = F.pad(x, (edge,) * 4, mode="replicate")
    blurred = F.conv2d(padded, blur_filter(taps).double().expand(2, 1, taps, taps), groups=2)
    want = x if stride == 1 else blurred[..., ::stride, ::stride]
    torch.testing.assert_close(BlurPool(stride, taps)(x), want, rtol=1e-12, atol=1e-12)
