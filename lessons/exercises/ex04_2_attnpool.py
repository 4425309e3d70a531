"""04  Attention pooling.  Read lessons/04_resnet.md, then make this file green."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

ANSWER = "miniclip.model.attnpool:AttentionPool"
HINT = """Flatten the grid to a list of cells and put their mean in front. Only the first of them is a query, and
the heads are split as in lesson 03."""


class AttentionPool(nn.Module):
    """(N, D, S, S) grid of features -> (N, E).

    grid: S, cells a side; width: D, a multiple of heads. Raises ValueError for a grid of another
    size, because each cell has its own position embedding.
    """

    def __init__(self, grid, width, heads, embed_dim):
        super().__init__()
        if width % heads:
            raise ValueError(f"a width of {width} cannot be split among {heads} heads")
        self.grid, self.heads = grid, heads
        positions = torch.randn(grid * grid + 1, width) * width**-0.5  # the mean comes first
        self.positional_embedding = nn.Parameter(positions)
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.c_proj = nn.Linear(width, embed_dim)
        for projection in (self.q_proj, self.k_proj, self.v_proj, self.c_proj):
            nn.init.normal_(projection.weight, std=width**-0.5)

    def forward(self, x):
        raise NotImplementedError  # about 9 lines


def pool(grid=2, heads=2):
    torch.manual_seed(0)
    return AttentionPool(grid, 8, heads, 5).double()


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(st.integers(1, 3), st.sampled_from([1, 2, 4]), st.integers(0, 99))
def test_it_is_torch_attention_with_the_mean_as_the_query(grid, heads, seed):
    ours, x = pool(grid, heads), randn(2, 8, grid, grid, seed=seed)
    cells = x.flatten(2).permute(2, 0, 1)
    cells = torch.cat([cells.mean(0, keepdim=True), cells]) + ours.positional_embedding[:, None]
    projections = ours.q_proj, ours.k_proj, ours.v_proj
    names = "q_proj_weight", "k_proj_weight", "v_proj_weight"
    want, _ = F.multi_head_attention_forward(
        *(cells[:1], cells, cells, 8, heads, None, torch.cat([p.bias for p in projections])),
        *(None, None, False, 0.0, ours.c_proj.weight, ours.c_proj.bias),
        use_separate_proj_weight=True,
        need_weights=False,
        **{name: projection.weight for name, projection in zip(names, projections)},
    )
    got = ours(x)
    assert got.shape == (2, 5), f"(2, 8, {grid}, {grid}) became {tuple(got.shape)}, not (2, 5)"
    far = (got - want[0]).abs().max().item()
    why = "is the mean the only query, and a key and a value too? (lesson 04, Attention pooling)"
    assert far < 1e-10, f"away from torch's attention by {far:.1g}: {why}"


@given(st.permutations(range(4)))
def test_without_positions_the_cells_are_a_set(order):
    ours, x = pool(), randn(2, 8, 2, 2)
    nn.init.zeros_(ours.positional_embedding)
    shuffled = x.flatten(2)[..., order].reshape(x.shape)
    far = (ours(x) - ours(shuffled)).abs().max().item()
    assert far < 1e-12, f"the cells in another order change the output by {far:.1g}"


def test_another_grid_is_refused():
    try:
        pool(2)(randn(1, 8, 2, 3))
    except ValueError:
        return
    pytest.fail("2 x 3 cells were taken, but the positions belong to 2 x 2: raise a ValueError")
