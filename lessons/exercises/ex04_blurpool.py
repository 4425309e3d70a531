"""04  Blur, then stride.  Read lessons/04_resnet.md, then make this file green."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from miniclip.model.blurpool import TAPS, blur_filter

ANSWER = "miniclip.model.blurpool:BlurPool"


class BlurPool(nn.Module):
    """Blur every channel, keep every stride-th pixel: (N, C, H, W) -> (N, C, H/stride, W/stride).

    It replaces a convolution of stride 2 when it follows the same convolution of stride 1. stride 1
    is the identity. Two taps use no padding, and H/stride rounds down, as in nn.AvgPool2d(stride);
    3 and 5 taps repeat the edge, and it rounds up.
    Raises ValueError unless taps is 2, 3 or 5, or for two taps and a stride above 2.
    """

    def __init__(self, stride=2, taps=2):
        super().__init__()
        self.stride, self.taps = stride, taps
        if taps == 2 and stride > 2:
            raise ValueError(f"two taps skip pixels at stride {stride}; use 3 or 5 taps")
        # two taps need no filter, because average pooling is the same and faster; it is not in the
        # state dict, because the released files do not have it
        weight = None if taps == 2 else blur_filter(taps)
        self.register_buffer("filter", weight, persistent=False)

    def forward(self, x):
        raise NotImplementedError  # about 7 lines


# float32: 25 products of numbers up to 5, each rounded by up to 6e-8 of itself; a dozen such at most
CLOSE = dict(rtol=0, atol=1e-5)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


taps, sides = st.sampled_from(list(TAPS)), st.integers(2, 9)


@given(sides, sides)
def test_two_taps_are_average_pooling(height, width):
    x = randn(2, 3, height, width)
    assert torch.allclose(BlurPool()(x), F.avg_pool2d(x, 2), **CLOSE), "not the mean of 2x2 pixels"


@given(taps, sides, sides)
def test_a_constant_stays_constant_up_to_the_edge(taps, height, width):
    y = BlurPool(taps=taps)(torch.full((1, 2, height, width), 3.0))
    low, high = y.aminmax()
    assert torch.allclose(y, torch.tensor(3.0), **CLOSE), f"all 3 became {low:.2f} to {high:.2f}"
    up = taps > 2
    want = (1, 2, (height + up) // 2, (width + up) // 2)
    assert y.shape == want, f"{height} x {width} became {tuple(y.shape)}, not {want}"


@given(st.sampled_from([3, 5]), st.integers(2, 3))
def test_a_dot_becomes_the_filter(taps, stride):
    x = torch.zeros(1, 1, 13, 13)
    x[..., 6, 6] = 1
    padded = torch.zeros(13, 13)
    low = 6 - taps // 2
    padded[low : low + taps, low : low + taps] = blur_filter(taps)
    got, want = BlurPool(stride, taps)(x)[0, 0], padded[::stride, ::stride]
    assert got.shape == want.shape, f"13 x 13 at stride {stride} became {tuple(got.shape)}"
    assert torch.allclose(got, want, **CLOSE), f"{taps} taps: a dot is not the filter"


@given(taps)
def test_channels_do_not_mix(taps):
    x = randn(1, 3, 8, 8)
    y = BlurPool(taps=taps)(x)
    for channel in range(3):
        alone = BlurPool(taps=taps)(x[:, channel : channel + 1])
        same = torch.allclose(y[:, channel : channel + 1], alone, **CLOSE)
        assert same, f"channel {channel} is another one when the others are there"


@given(taps)
def test_a_stride_of_one_changes_nothing(taps):
    x = randn(1, 2, 5, 5)
    assert torch.equal(BlurPool(1, taps)(x), x), "stride 1 must return its input"
