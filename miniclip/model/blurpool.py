"""Downsample without aliasing: blur, then drop every second pixel (Zhang 2019; CLIP, section 2.4).

A stride drops pixels. A pattern that is finer than the remaining pixels can represent then appears
as another, coarser pattern, which changes when the picture is shifted by one pixel (aliasing). A
blur before the stride removes or weakens such patterns. CLIP's is the smallest, two taps: a 2x2
average. Left out: learned filters, filters of four taps or more than five.
Lesson: lessons/04_resnet.md.
"""

import torch
from torch import nn
from torch.nn import functional as F

# rows of Pascal's triangle
TAPS = {2: (1.0, 1.0), 3: (1.0, 2.0, 1.0), 5: (1.0, 4.0, 6.0, 4.0, 1.0)}


def blur_filter(taps):
    """The (taps, taps) float32 filter, of sum 1: the outer product of a row of Pascal's triangle
    with itself. Raises KeyError unless taps is 2, 3 or 5."""
    row = torch.tensor(TAPS[taps])
    return torch.outer(row, row) / row.sum() ** 2


class BlurPool(nn.Module):
    """Blur every channel, keep every stride-th pixel: (N, C, H, W) -> (N, C, H/stride, W/stride).

    It replaces a convolution of stride 2 when it follows the same convolution of stride 1. stride 1
    is the identity. Two taps use no padding, and H/stride rounds down, as in nn.AvgPool2d(stride);
    3 and 5 taps repeat the edge, and it rounds up. stride: 1 or 2, and for 3 and 5 taps up to taps.
    Raises KeyError unless taps is 2, 3 or 5.
    """

    def __init__(self, stride=2, taps=2):
        super().__init__()
        self.stride, self.taps = stride, taps
        # two taps need no filter, because average pooling is the same and faster; it is not in the
        # state dict, because the released files do not have it
        weight = None if taps == 2 else blur_filter(taps)
        self.register_buffer("filter", weight, persistent=False)

    def forward(self, x):
        if self.stride == 1:
            return x
        if self.taps == 2:
            return F.avg_pool2d(x, 2, self.stride)
        channels, edge = x.shape[1], self.taps // 2
        x = F.pad(x, (edge, edge, edge, edge), mode="replicate")
        weight = self.filter.to(x.dtype).expand(channels, 1, -1, -1)
        return F.conv2d(x, weight, stride=self.stride, groups=channels)
