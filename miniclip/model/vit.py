"""The Vision Transformer: a picture is a sequence of patches (Dosovitskiy et al. 2021; CLIP, 2.4).

Cut the picture into squares, project each to a vector, put a class token in front, add positions,
and run the blocks of transformer.py without a causal mask. The class token's last activation,
normalized and projected, is the feature. CLIP adds a LayerNorm before the blocks (ln_pre) and
changes the initialization.
Left out: patch dropout, other poolings, and registers, which came later.
Lesson: lessons/05_vit.md.
"""

import math

import torch
from einops import rearrange
from torch import nn
from torch.nn import functional as F

from miniclip.model.transformer import Transformer


def embed_patches(images, weight):
    """Cut pictures into squares and project each: (N, C, H, W), (D, C, P, P) -> (N, patches, D).

    patches = (H/P)(W/P), row by row. The same as a convolution of stride P, written as a matrix product:
    the C P^2 numbers of a patch times one (C P^2, D) matrix. H and W must be multiples of P.
    """
    patch = weight.shape[-1]
    x = rearrange(images, "n c (h p) (w q) -> n (h w) (c p q)", p=patch, q=patch)
    return F.linear(x, weight.flatten(1))  # (D, C*P*P)


def resize_positions(positions, grid):
    """Fit position embeddings to another grid: (1 + S*S, D) -> (1 + grid*grid, D).

    The first one (of the class token, or of the attention pool's mean) is kept; the S x S others
    are interpolated as a picture with D channels (bicubic, antialiased). Raises ValueError when they
    are not one and a square.
    """
    side = math.isqrt(len(positions))  # that of S*S + 1 is S, unless S is 0
    if side * side + 1 != len(positions):
        raise ValueError(f"{len(positions)} positions are not one and a square grid")
    if side == grid:
        return positions
    cells = rearrange(positions[1:], "(h w) d -> 1 d h w", h=side).float()
    cells = F.interpolate(cells, (grid, grid), mode="bicubic", antialias=True, align_corners=False)
    cells = rearrange(cells, "1 d h w -> (h w) d").to(positions.dtype)
    return torch.cat([positions[:1], cells])


class ViT(nn.Module):
    """(N, 3, image_size, image_size) float pictures -> (N, embed_dim).

    patch: P, pixels a side; width, layers, heads, activation, checkpointing: the Transformer's.
    Raises ValueError when the patches do not tile the picture, or pictures of another size come in.
    """

    def __init__(
        self,
        embed_dim,
        image_size,
        patch,
        width,
        layers,
        heads,
        activation="quickgelu",
        checkpointing=False,
    ):
        super().__init__()
        if image_size % patch:
            raise ValueError(f"patches of {patch} pixels do not tile a picture of {image_size}")
        self.image_size, self.patch = image_size, patch
        length = (image_size // patch) ** 2 + 1
        # never called: it keeps the patches' weight under its name in the released files
        self.conv1 = nn.Conv2d(3, width, patch, patch, bias=False)
        self.class_embedding = nn.Parameter(torch.randn(width) * width**-0.5)
        self.positional_embedding = nn.Parameter(torch.randn(length, width) * width**-0.5)
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = Transformer(
            width, layers, heads, activation, checkpointing=checkpointing
        )
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.randn(width, embed_dim) * width**-0.5)

    def forward(self, images):
        if images.shape[1:] != (3, self.image_size, self.image_size):
            size = self.image_size
            raise ValueError(f"pictures must be (N, 3, {size}, {size}), not {tuple(images.shape)}")
        x = embed_patches(images, self.conv1.weight)  # (N, L - 1, D)
        first = self.class_embedding.to(x.dtype).expand(x.shape[0], 1, -1)
        x = torch.cat([first, x], dim=1)  # (N, L, D)
        x = self.transformer(self.ln_pre(x + self.positional_embedding))
        return self.ln_post(x[:, 0]) @ self.proj  # (N, D) -> (N, E)
