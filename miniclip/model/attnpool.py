"""Pool a grid with one attention query, the mean of the grid (CLIP, section 2.4).

A global average gives every cell the same weight. Here the average is the query of one attention
layer: each head weighs the cells in its own way, and the result is projected into the shared space.
Left out: queries of the cells themselves, whose outputs would be unused.
Lesson: lessons/04_resnet.md.
"""

import torch
from einops import rearrange
from torch import nn

from miniclip.common import refuse
from miniclip.model.transformer import attention


class AttentionPool(nn.Module):
    """(N, D, S, S) grid of features -> (N, E).

    grid: S, the number of cells per side; width: D, a multiple of heads. Raises ValueError for a
    grid of another size, because each cell has its own position embedding.
    """

    def __init__(self, grid, width, heads, embed_dim):
        super().__init__()
        refuse({f"a width of {width} cannot be split among {heads} heads": width % heads > 0})
        self.grid, self.heads = grid, heads
        # the mean comes first
        self.positional_embedding = nn.Parameter(torch.randn(grid * grid + 1, width) * width**-0.5)
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.c_proj = nn.Linear(width, embed_dim)
        for projection in (self.q_proj, self.k_proj, self.v_proj, self.c_proj):
            nn.init.normal_(projection.weight, std=width**-0.5)

    def forward(self, x):
        (height, width), grid = x.shape[2:], self.grid
        refuse(
            {
                f"the attention pool has {grid}x{grid} cells, not {height}x{width}": (
                    height != grid or width != grid
                )
            }
        )
        x = rearrange(x, "n d h w -> n (h w) d")
        x = torch.cat([x.mean(dim=1, keepdim=True), x], dim=1)  # (N, 1 + S*S, D)
        x = x + self.positional_embedding
        projected = self.q_proj(x[:, :1]), self.k_proj(x), self.v_proj(x)  # one query: the mean
        q, k, v = (rearrange(y, "n l (h d) -> n h l d", h=self.heads) for y in projected)
        return self.c_proj(rearrange(attention(q, k, v), "n h 1 d -> n (h d)"))
