"""Laws of the attention pool: one query, the mean, reads every cell."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from miniclip.model.attnpool import AttentionPool
from tests.model.numbers import randn

pytestmark = pytest.mark.numerics


def pool(grid=3, width=16, heads=4, embed_dim=6):
    torch.manual_seed(0)
    return AttentionPool(grid, width, heads, embed_dim).double()


@given(st.integers(1, 4), st.sampled_from([1, 2, 4]), st.integers(0, 99))
def test_it_is_one_row_of_torch_multi_head_attention(grid, heads, seed):
    ours, x = pool(grid, heads=heads), randn(2, 16, grid, grid, seed=seed)
    theirs = torch.nn.MultiheadAttention(16, heads, batch_first=True).double()
    packed = [ours.q_proj, ours.k_proj, ours.v_proj]
    theirs.in_proj_weight.data = torch.cat([p.weight for p in packed])
    theirs.in_proj_bias.data = torch.cat([p.bias for p in packed])
    theirs.out_proj.weight.data, theirs.out_proj.bias.data = torch.eye(16).double(), torch.zeros(16)
    theirs.double()
    cells = x.flatten(2).transpose(1, 2)
    cells = torch.cat([cells.mean(1, keepdim=True), cells], 1) + ours.positional_embedding
    want = ours.c_proj(theirs(cells, cells, cells, need_weights=False)[0][:, 0])
    assert torch.allclose(ours(x), want, atol=1e-10)


@given(st.permutations(range(9)))
def test_without_positions_the_cells_are_a_set(order):
    ours, x = pool(), randn(2, 16, 3, 3)
    torch.nn.init.zeros_(ours.positional_embedding)
    shuffled = x.flatten(2)[..., order].reshape(x.shape)
    assert torch.allclose(ours(x), ours(shuffled), atol=1e-12)
    torch.nn.init.normal_(ours.positional_embedding)
    if order != sorted(order):
        assert not torch.allclose(ours(x), ours(shuffled), atol=1e-12)


@given(st.integers(0, 8))
def test_every_cell_is_read(cell):
    ours, x = pool(), randn(1, 16, 3, 3).requires_grad_()
    ours(x).sum().backward()
    assert x.grad.flatten(2)[..., cell].abs().min() > 0
