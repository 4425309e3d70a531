"""Laws of the block that both towers are made of."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from miniclip.model.transformer import Attention, Block, Transformer, attention, quick_gelu
from tests.model.numbers import randn

pytestmark = pytest.mark.numerics


def small(layers=2, **options):
    torch.manual_seed(0)
    return Transformer(16, layers, 4, "quickgelu", **options).double()


@given(st.integers(1, 9), st.integers(1, 3), st.booleans(), st.integers(0, 99))
def test_attention_is_a_softmax_average_of_the_values(length, heads, causal, seed):
    q, k, v = randn(3, 2, heads, length, 5, seed=seed)
    scores = q @ k.transpose(-1, -2) / math.sqrt(5)
    if causal:
        scores = scores + torch.full((length, length), -torch.inf).triu(1)
    want = scores.softmax(-1) @ v
    torch.testing.assert_close(attention(q, k, v, causal), want, rtol=1e-9, atol=1e-9)


@given(st.integers(2, 8), st.data())
def test_a_later_position_never_changes_an_earlier_one(length, data):
    cut = data.draw(st.integers(1, length - 1))
    model, x, other = small(causal=True), randn(1, length, 16), randn(1, length, 16, seed=1)
    other[:, :cut] = x[:, :cut]
    assert torch.allclose(model(x)[:, :cut], model(other)[:, :cut], atol=1e-12)
    assert not torch.allclose(model(x)[:, cut:], model(other)[:, cut:])


def test_the_packed_projection_equals_torch_multi_head_attention():
    torch.manual_seed(0)
    ours, theirs = Attention(32, 4), torch.nn.MultiheadAttention(32, 4, batch_first=True)
    ours.load_state_dict(theirs.state_dict())
    ours, theirs, x = ours.double(), theirs.double(), randn(3, 7, 32)
    torch.testing.assert_close(ours(x), theirs(x, x, x, need_weights=False)[0])


@given(st.floats(-30, 30))
def test_quick_gelu_is_its_formula(x):
    x = torch.tensor(x, dtype=torch.float64)
    assert abs(quick_gelu(x) - x * torch.sigmoid(1.702 * x)) < 1e-12


def test_the_block_is_a_residual_sum():
    block, x = Block(16, 4, "gelu").double(), randn(2, 5, 16)
    for parameter in (block.attn.out_proj, block.mlp.c_proj):
        torch.nn.init.zeros_(parameter.weight)
        torch.nn.init.zeros_(parameter.bias)
    assert torch.equal(block(x), x)


def test_checkpointing_keeps_less_for_the_backward_pass():
    kept = {}
    for checkpointing in (False, True):
        model, total = small(4, checkpointing=checkpointing), []
        pack = lambda t: total.append(t.numel()) or t  # noqa: E731
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            model(randn(2, 5, 16))
        kept[checkpointing] = sum(total)
    assert kept[True] * 4 < kept[False], kept
