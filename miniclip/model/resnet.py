"""CLIP's ResNet: a ResNet-D with antialiased strides and an attention pool (CLIP, section 2.4).

Three changes to the layers of the ResNet of He et al. 2016; the first two draw on He et al. 2019
(bag of tricks) and Zhang 2019. The stem is three 3x3 convolutions and a 2x2 average instead of one
7x7 and a max pool. After the stem's first convolution none has a stride: a blur pool halves the
grid instead. An attention pool replaces the global average.
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

    Where the stride of 2 is decides which pixels are used. On the first 1x1 (the original), three
    of four are dropped unread. On the 3x3 (ResNet-B) the main path reads all, but the shortcut's
    1x1 still drops three of four. With an average before that 1x1 (ResNet-D) both paths read all.
    CLIP does that, and also averages on the main path, after a 3x3 of stride 1.
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
        nn.init.zeros_(self.bn3.weight)  # a new block computes its shortcut only
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

    layers: bottlenecks of each stage, e.g. (3, 4, 6, 3); width: channels of the stem (the stages
    have 4, 8, 16, 32 times as many); heads: the attention pool's. checkpointing: keep only each
    bottleneck's input for the backward pass and compute the rest again, which takes longer.
    Raises ValueError when image_size is not a multiple of the whole stride, 2^(1 + stages).
    """

    def __init__(self, embed_dim, image_size, layers, width, heads, checkpointing=False):
        super().__init__()
        stride = 2 ** (len(layers) + 1)
        if image_size % stride:
            raise ValueError(f"image_size must be a multiple of {stride}, not {image_size}")
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
            # the stem has halved the first stage's grid
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
        # one context around the forward pass, one around its repetition. torch.compile takes none
        # (torch 2.7 to 2.13). From 2.9 on it needs none, since what it computes again writes no
        # buffer; 2.7 and 2.8 do, and train.py refuses them
        contexts = dict(context_fn=lambda: (contextlib.nullcontext(), frozen_bn_stats(block)))
        extra = {} if torch.compiler.is_compiling() else contexts
        return checkpoint(block, x, use_reentrant=False, preserve_rng_state=False, **extra)


@contextlib.contextmanager
def frozen_bn_stats(block):
    """While the backward pass computes a block again, its batch norms must not count the batch a
    second time: the running averages would differ from those of a run without checkpointing."""
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
