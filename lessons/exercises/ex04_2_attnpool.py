"""04  Attention pooling.  Read lessons/04_resnet.md, then make this file green."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

ANSWER = "miniclip.model.attnpool:AttentionPool"


class AttentionPool(nn.Module):
    """(N, D, S, S) grid of features -> (N, E).

    grid: S, the number of cells per side; width: D, a multiple of heads. Raises ValueError for a
    grid of another size, because each cell has its own position embedding.
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


@given(st.integers(1, 3), st.sampled_from([1, 2, 4]))
def test_the_result_is_one_vector_for_each_picture(grid, heads):
    got = tuple(pool(grid, heads)(randn(2, 8, grid, grid)).shape)
    assert got == (2, 5), f"(2, 8, {grid}, {grid}) became {got}, not (2, 5)"


@given(st.permutations(range(4)))
def test_without_positions_the_cells_are_a_set(order):
    ours, x = pool(), randn(2, 8, 2, 2)
    nn.init.zeros_(ours.positional_embedding)
    shuffled = x.flatten(2)[..., order].reshape(x.shape)
    far = (ours(x) - ours(shuffled)).abs().max().item()
    assert far < 1e-12, f"the cells in another order change the output by {far:.1g}"


def test_with_positions_the_order_counts():
    ours, x = pool(), randn(2, 8, 2, 2)
    far = (ours(x) - ours(x.flip(3))).abs().max().item()
    assert far > 1e-3, "left and right change places, and the output stays: it knows no positions"


@given(st.integers(1, 3))
def test_equal_keys_give_the_mean_of_all_entries(grid):
    ours, x = pool(grid, heads=1), randn(2, 8, grid, grid)
    nn.init.zeros_(ours.k_proj.weight)  # all keys are the bias, so all entries weigh the same
    entries = x.flatten(2).mean(2) + ours.positional_embedding.mean(0)
    far = (ours(x) - ours.c_proj(ours.v_proj(entries))).abs().max().item()
    why = f"the output is {far:.1g} away from the mean of all {grid**2 + 1} values"
    assert far < 1e-12, f"all keys are equal, but {why} (lesson 04, Attention pooling)"


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
    far = (ours(x) - want[0]).abs().max().item()
    why = "is the mean the only query, and a key and a value too? (lesson 04, Attention pooling)"
    assert far < 1e-10, f"away from torch's attention by {far:.1g}: {why}"


def test_another_grid_is_refused():
    try:
        pool(2)(randn(1, 8, 2, 3))
    except ValueError:
        return
    pytest.fail("2 x 3 cells were taken, but the positions belong to 2 x 2: raise a ValueError")


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_the_result_is_one_vector_for_each_picture": (
        "How many entries of the list ask a question? The result has as many vectors.",
        "The list of cells has the mean in front, and only the mean has a query (the picture in Attention "
        "pooling). Its answer goes through c_proj, which makes E numbers of D.",
        "Make the list (N, 1 + S*S, D); q is q_proj of its entry 0 alone, of shape (N, heads, 1, D / heads).",
    ),
    "test_without_positions_the_cells_are_a_set": (
        "Which number of the result can know where a cell lies, when all positions are zero?",
        "The query is made from one place of the grid, or cells and channels are mixed up. The query belongs "
        "to the mean of all cells, which does not depend on their order.",
        "rearrange(x, 'n d h w -> n (h w) d') is the list of cells; its mean over dimension 1 goes in front.",
    ),
    "test_with_positions_the_order_counts": (
        "What did __init__ prepare that forward does not use yet?",
        "Attention by itself does not know where a cell lies, so each entry of the list gets its position.",
        "Add self.positional_embedding to the list of 1 + S*S entries, before the three projections.",
    ),
    "test_equal_keys_give_the_mean_of_all_entries": (
        "How many keys and values are there: S*S, or one more?",
        "The mean asks all cells and itself (the picture in Attention pooling): keys and values are made from "
        "the whole list, with the mean in front and positions added.",
        "k and v are k_proj(x) and v_proj(x) of all 1 + S*S entries, not of x[:, 1:].",
    ),
    "test_it_is_torch_attention_with_the_mean_as_the_query": (
        "All simpler laws hold, so the list is right. How did lesson 03 cut D channels into heads, and how "
        "many queries are there?",
        "A head has D / heads consecutive channels, in q, k and v alike, and the heads' answers lie side by "
        "side again at the end. Only the mean asks.",
        "rearrange(y, 'n l (h d) -> n h l d', h=self.heads) for q, k and v; back: 'n h 1 d -> n (h d)'.",
    ),
    "test_another_grid_is_refused": (
        "Which grids do the positions fit?",
        "A grid of other sides than self.grid must raise a ValueError, even if it has as many cells.",
        "if x.shape[2:] != (self.grid, self.grid): raise ValueError(...)",
    ),
}
DIFFERS = """It cuts q, k and v into heads by one generator, since they differ only in their number of positions, and
leaves softmax and weighted mean to the `attention` of lesson 03, which has a fused kernel."""
