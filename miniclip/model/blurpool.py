"""Downsample without aliasing: blur, then drop every second pixel (Zhang 2019; CLIP, section 2.4).

A stride throws away pixels. What changes faster than the pixels that are left can follow does not
go away: it comes back as something else, and moves when the picture moves by one. A blur in front
of the stride takes it out first. CLIP's is the smallest, two taps: a 2x2 average.
Left out: learned filters, and filters longer than five taps.
"""

import torch
from torch import nn
from torch.nn import functional as F

# rows of Pascal's triangle: [1 1] applied to itself again and again
TAPS = {2: (1.0, 1.0), 3: (1.0, 2.0, 1.0), 5: (1.0, 4.0, 6.0, 4.0, 1.0)}


def blur_filter(taps):
    """The (taps, taps) float32 filter, of sum 1: the outer product of a row of Pascal's triangle
    with itself. Raises ValueError unless taps is 2, 3 or 5."""
    if taps not in TAPS:
        raise ValueError(f"a blur has 2, 3 or 5 taps, not {taps}")
    row = torch.tensor(TAPS[taps])
    return torch.outer(row, row) / row.sum() ** 2


class BlurPool(nn.Module):
    """Blur every channel and keep every stride-th pixel: (N, C, H, W) -> (N, C, H/stride, W/stride).

    For a convolution of stride 2 put it behind the same convolution at stride 1; for a max pool
    behind a max pool of stride 1. stride 1 is the identity. Two taps use no padding (H/stride
    rounds down: equal to nn.AvgPool2d(stride)), 3 and 5 repeat the edge (it rounds up).
    Raises ValueError unless taps is 2, 3 or 5, or when two taps meet a stride above 2.
    """

    def __init__(self, stride=2, taps=2):
        super().__init__()
        if taps not in TAPS:
            raise ValueError(f"a blur has 2, 3 or 5 taps, not {taps}")
        self.stride, self.taps = stride, taps
        if taps == 2 and stride > 2:
            raise ValueError(f"two taps skip pixels at stride {stride}; use 3 or 5 taps")
        # Two taps need none: average pooling is the same filter, by a faster kernel. The others are
        # fixed and made again with the model: not in the state dict, where no one expects them.
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
