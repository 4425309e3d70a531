"""Laws of the attention pool: one query, the mean, reads every cell."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from miniclip.model.attnpool import AttentionPool
from tests.model.numbers import randn

pytestmark = pytest.mark.numerics


@given(st.integers(1, 4), st.sampled_from([1, 2, 4]), st.integers(0, 99))
def test_it_is_one_row_of_torch_multi_head_attention(grid, heads, seed):
    torch.manual_seed(seed)
    ours = AttentionPool(grid, 16, heads, 6).double()
    x = randn(2, 16, grid, grid, seed=seed)
    theirs = torch.nn.MultiheadAttention(16, heads, batch_first=True).double()
    packed = [ours.q_proj, ours.k_proj, ours.v_proj]
    theirs.in_proj_weight.data = torch.cat([p.weight for p in packed])
    theirs.in_proj_bias.data = torch.cat([p.bias for p in packed])
    theirs.out_proj.weight.data = torch.eye(16).double()
    torch.nn.init.zeros_(theirs.out_proj.bias)
    cells = x.flatten(2).transpose(1, 2)
    cells = torch.cat([cells.mean(1, keepdim=True), cells], 1) + ours.positional_embedding
    want = ours.c_proj(theirs(cells, cells, cells, need_weights=False)[0][:, 0])
    assert torch.allclose(ours(x), want, atol=1e-10)
