"""CLIP's ResNet: a ResNet-D with antialiased strides and an attention pool (CLIP, section 2.4).

CLIP changes the ResNet of He et al. 2016 in three ways:

1. The stem is three 3x3 convolutions and a 2x2 average, instead of one 7x7 convolution and a max
   pool.
2. Only the first convolution of the stem has a stride. Everywhere else a blur pool halves the grid.
3. An attention pool replaces the global average.

The first two changes draw on He et al. 2019 (bag of tricks) and Zhang 2019.
Left out: squeeze-and-excitation, stochastic depth, a classifier.
Lesson: lessons/04_resnet.md.
"""

import contextlib

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from miniclip.model.attnpool import AttentionPool
from miniclip.model.blurpool import BlurPool

EXPANSION = 4  # a bottleneck's output has four times the channels of its inner layers


class Bottleneck(nn.Module):
    """1x1 down, 3x3, 1x1 up, added to a shortcut: (N, in_width, H, W) -> (N, 4 width, H', W').

    In a block that halves the grid, the place of the stride of 2 decides which pixels are read:

    - On the first 1x1 convolution (the original ResNet), three of four pixels are never read.
    - On the 3x3 convolution (ResNet-B), the main path reads every pixel, but the 1x1 convolution of
      the shortcut still drops three of four.
    - With an average before the 1x1 convolution of the shortcut (ResNet-D), both paths read every
      pixel.

    CLIP's shortcut is the one of ResNet-D. On the main path, CLIP also has an average, which comes
    after the 3x3 convolution; the stride of that convolution is 1.
    """

    def __init__(self, in_width, width, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_width, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.blur = BlurPool(stride)
        self.conv3 = nn.Conv2d(width, width * EXPANSION, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * EXPANSION)
        nn.init.zeros_(self.bn3.weight)  # so that the main path of a new block adds nothing
        self.downsample = None
        if stride > 1 or in_width != width * EXPANSION:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_width, width * EXPANSION, 1, bias=False),
                nn.BatchNorm2d(width * EXPANSION),
            )

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(self.blur(y)))
        if self.downsample is not None:
            x = self.downsample(self.blur(x))
        return F.relu(y.add_(x), inplace=True)  # in place: nothing else reads y


class ResNet(nn.Module):
    """(N, 3, image_size, image_size) float pictures -> (N, embed_dim).

    - layers: the number of bottlenecks in each stage, e.g. (3, 4, 6, 3).
    - width: the channels of the stem. The stages have 4, 8, 16, 32 times as many.
    - heads: the heads of the attention pool.
    - checkpointing: keep only the input of each bottleneck for the backward pass, and compute the
      rest again. This saves memory and takes longer.

    Raises ValueError when image_size is not a multiple of the total stride, 2^(1 + stages).
    """

    def __init__(self, embed_dim, image_size, layers, width, heads, checkpointing=False):
        super().__init__()
        stride = 2 ** (len(layers) + 1)
        if image_size % stride or width < 2:
            raise ValueError(
                f"image_size must be a multiple of {stride}, not {image_size}, and the width at "
                f"least 2, not {width}"
            )
        self.checkpointing = checkpointing
        self.conv1 = nn.Conv2d(3, width // 2, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width // 2)
        self.conv2 = nn.Conv2d(width // 2, width // 2, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width // 2)
        self.conv3 = nn.Conv2d(width // 2, width, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.blur = BlurPool(2)
        self.stages = len(layers)
        channels = width
        for stage, depth in enumerate(layers):
            inner = width * 2**stage
            # the first stage keeps the stem's grid
            first = Bottleneck(channels, inner, stride=2 if stage else 1)
            channels = inner * EXPANSION
            blocks = nn.Sequential(first, *(Bottleneck(channels, inner) for _ in range(1, depth)))
            setattr(self, f"layer{stage + 1}", blocks)
        self.attnpool = AttentionPool(image_size // stride, channels, heads, embed_dim)

    def forward(self, images):
        # with channels last a 1x1 convolution is one matrix product; other layers keep the layout
        x = images.contiguous(memory_format=torch.channels_last)
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)
        x = F.relu(self.bn3(self.conv3(x)), inplace=True)
        x = self.blur(x)  # (N, width, H/4, W/4)
        again = self.checkpointing and torch.is_grad_enabled()
        for stage in range(self.stages):
            for block in getattr(self, f"layer{stage + 1}"):
                x = self._checkpointed(block, x) if again else block(x)
        return self.attnpool(x)

    @staticmethod
    def _checkpointed(block, x):
        # context_fn gives one context for the forward pass and one for its repetition.
        # torch.compile accepts no contexts (torch 2.7 to 2.13). From torch 2.9 on it needs none,
        # because there the repetition writes no buffers. In 2.7 and 2.8 it does, so there train.py
        # refuses --compile with --grad-checkpointing.
        contexts = dict(context_fn=lambda: (contextlib.nullcontext(), frozen_bn_stats(block)))
        extra = {} if torch.compiler.is_compiling() else contexts
        return checkpoint(block, x, use_reentrant=False, preserve_rng_state=False, **extra)


@contextlib.contextmanager
def frozen_bn_stats(block):
    """While the backward pass computes a block again, its batch norms must not count the batch a
    second time. Otherwise the running averages would differ from a run without checkpointing."""
    before = [
        (m, m.momentum, m.num_batches_tracked.clone())
        for m in block.modules()
        if isinstance(m, (nn.BatchNorm2d, nn.SyncBatchNorm))
    ]
    for m, *_ in before:
        m.momentum = 0.0  # running = 1 * running + 0 * batch
    try:
        yield
    finally:
        for m, momentum, counted in before:
            m.momentum = momentum
            m.num_batches_tracked.copy_(counted)
