"""Downsample without aliasing: blur, then drop every second pixel (Zhang 2019; CLIP, section 2.4).

A stride drops pixels. A pattern that is finer than the remaining pixels can represent then appears
as another, coarser pattern, which changes when the picture is shifted by one pixel (aliasing). A
blur before the stride removes or weakens such patterns. CLIP's blur is the smallest one, with two
taps: a 2x2 average. Left out: learned filters, and filters of four taps or of more than five.
Lesson: lessons/04_resnet.md.
"""

import torch
from torch import nn
from torch.nn import functional as F

# rows of Pascal's triangle
TAPS = {2: (1.0, 1.0), 3: (1.0, 2.0, 1.0), 5: (1.0, 4.0, 6.0, 4.0, 1.0)}


def blur_filter(taps):
    """The (taps, taps) float32 filter: the outer product of a row of Pascal's triangle with itself,
    scaled to add up to 1. Raises KeyError unless taps is 2, 3 or 5."""
    row = torch.tensor(TAPS[taps])
    return torch.outer(row, row) / row.sum() ** 2


class BlurPool(nn.Module):
    """Blur every channel, keep every stride-th pixel: (N, C, H, W) -> (N, C, H/stride, W/stride).

    In place of a convolution of stride 2, use the same convolution with stride 1 and then this
    layer. If the stride of this layer itself is 1, it returns its input.

    With two taps nothing is padded, and H/stride is rounded down, as in nn.AvgPool2d(stride). With
    3 or 5 taps the pixels at the edge are repeated, and H/stride is rounded up.

    stride: 1 or 2; with 3 or 5 taps also larger strides, up to the number of taps.
    Raises KeyError unless taps is 2, 3 or 5.
    """

    def __init__(self, stride=2, taps=2):
        super().__init__()
        self.stride, self.taps = stride, taps
        # With two taps no filter is needed, because average pooling gives the same result faster.
        # The filter is kept out of the state dict, because the released files hold none.
        self.register_buffer("filter", None if taps == 2 else blur_filter(taps), persistent=False)

    def forward(self, x):
        if self.stride == 1:
            return x
        if self.taps == 2:
            return F.avg_pool2d(x, 2, self.stride)
        channels, edge = x.shape[1], self.taps // 2
        x = F.pad(x, (edge, edge, edge, edge), mode="replicate")
        weight = self.filter.to(x.dtype).expand(channels, 1, -1, -1)
        return F.conv2d(x, weight, stride=self.stride, groups=channels)
