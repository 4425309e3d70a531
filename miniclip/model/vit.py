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

from miniclip.common import refuse
from miniclip.model.transformer import Transformer


def embed_patches(images, weight):
    """Cut pictures into squares and project each: (N, C, H, W), (D, C, P, P) -> (N, patches, D).

    There are (H/P)(W/P) patches, row by row. H and W must be multiples of P. A convolution with
    stride P would give the same result. Here it is a matrix product: the C P^2 numbers of each
    patch times one (C P^2, D) matrix.
    """
    patch = weight.shape[-1]
    x = rearrange(images, "n c (h p) (w q) -> n (h w) (c p q)", p=patch, q=patch)
    return F.linear(x, weight.flatten(1))  # (D, C*P*P)


def resize_positions(positions, grid):
    """Fit position embeddings to another grid: (1 + S*S, D) -> (1 + grid*grid, D).

    The first position, which belongs to the class token or to the attention pool's mean, is kept.
    The other S*S are interpolated like a picture with D channels (bicubic, antialiased). Raises
    ValueError unless there are 1 + S*S positions.
    """
    side = math.isqrt(len(positions))  # isqrt(S*S + 1) is S, unless S is 0
    refuse(
        {
            f"{len(positions)} positions are not one and a square grid": (
                side * side + 1 != len(positions)
            )
        }
    )
    if side == grid:
        return positions
    cells = rearrange(positions[1:], "(h w) d -> 1 d h w", h=side).float()
    cells = F.interpolate(cells, (grid, grid), mode="bicubic", antialias=True, align_corners=False)
    cells = rearrange(cells, "1 d h w -> (h w) d").to(positions.dtype)
    return torch.cat([positions[:1], cells])


class ViT(nn.Module):
    """(N, 3, image_size, image_size) float pictures -> (N, embed_dim).

    patch: P, the side of a patch in pixels; width, layers, heads, activation, checkpointing: passed
    on to Transformer. Raises ValueError when image_size is not a multiple of patch, and for
    pictures of another size.
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
        refuse(
            {
                f"patches of {patch} pixels do not tile a picture of {image_size}": (
                    image_size % patch > 0
                )
            }
        )
        self.image_size, self.patch = image_size, patch
        length = (image_size // patch) ** 2 + 1
        # never called: this layer gives the patches' weight the name that the released files use
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
        size, given = self.image_size, tuple(images.shape)
        refuse(
            {f"pictures must be (N, 3, {size}, {size}), not {given}": given[1:] != (3, size, size)}
        )
        x = embed_patches(images, self.conv1.weight)  # (N, L - 1, D)
        first = self.class_embedding.to(x.dtype).expand(x.shape[0], 1, -1)
        x = torch.cat([first, x], dim=1)  # (N, L, D)
        x = self.transformer(self.ln_pre(x + self.positional_embedding))
        return self.ln_post(x[:, 0]) @ self.proj  # (N, D) -> (N, E)
