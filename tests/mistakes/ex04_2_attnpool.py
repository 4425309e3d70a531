"""Plausible wrong attention pools."""

import torch
from einops import rearrange

from miniclip.model.attnpool import AttentionPool
from miniclip.model.transformer import attention


class _Pool(AttentionPool):
    """The right one, in parts that the mistakes replace."""

    split = "n l (h d) -> n h l d"

    def cells(self, x):
        if x.shape[2:] != (self.grid, self.grid):
            raise ValueError("another grid")
        x = rearrange(x, "n d h w -> n (h w) d")
        x = torch.cat([x.mean(dim=1, keepdim=True), x], dim=1)
        return x + self.positional_embedding

    def query(self, x):
        return x[:, :1]

    def pooled(self, x):
        return rearrange(x, "n h 1 d -> n (h d)")

    def forward(self, x):
        x = self.cells(x)
        parts = self.q_proj(self.query(x)), self.k_proj(x), self.v_proj(x)
        q, k, v = (rearrange(y, self.split, h=self.heads) for y in parts)
        return self.c_proj(self.pooled(attention(q, k, v)))


class positions_are_forgotten(_Pool):
    def cells(self, x):
        return super().cells(x) - self.positional_embedding


class the_mean_is_not_among_the_cells(_Pool):
    def forward(self, x):
        x = self.cells(x)
        parts = self.q_proj(x[:, :1]), self.k_proj(x[:, 1:]), self.v_proj(x[:, 1:])
        q, k, v = (rearrange(y, self.split, h=self.heads) for y in parts)
        return self.c_proj(self.pooled(attention(q, k, v)))


class the_last_cell_is_the_query(_Pool):
    def query(self, x):
        return x[:, -1:]


class heads_are_interleaved(_Pool):
    split = "n l (d h) -> n h l d"


class all_cells_are_queries_and_the_results_are_averaged(_Pool):
    def query(self, x):
        return x

    def pooled(self, x):
        return rearrange(x, "n h l d -> n l (h d)").mean(1)


class any_grid_is_taken(_Pool):
    def cells(self, x):
        x = rearrange(x, "n d h w -> n (h w) d")
        x = torch.cat([x.mean(dim=1, keepdim=True), x], dim=1)
        return x + self.positional_embedding[: x.shape[1]] if x.shape[1] < 6 else x
