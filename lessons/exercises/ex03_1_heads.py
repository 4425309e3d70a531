"""03  Several heads.  Read lessons/03_text.md, then make this file green."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from miniclip.model.transformer import attention  # noqa: F401  (for your answer)

ANSWER = "miniclip.model.transformer:Attention"
HINT = (
    "Make q, k and v by one matrix product and follow the shapes: (N, L, 3D), three times (N, L, D), "
    "each (N, heads, L, d). A head has d neighbouring channels, so which of the two is cut first?"
)


class Attention(nn.Module):
    """Multi-head self-attention: (N, L, D) -> (N, L, D). D must be a multiple of heads.

    q, k and v come from one packed (3D, D) projection: one matrix product instead of three.
    """

    def __init__(self, width, heads, causal=False):
        super().__init__()
        self.heads, self.causal = heads, causal
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        # as torch's own MultiheadAttention starts, which the released ViTs used
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, x):
        raise NotImplementedError  # about 4 lines; attention gets self.causal as it is


def pair(heads, causal=False, seed=0):
    """Yours, and torch's own with the same weights; each bias is random too."""
    torch.manual_seed(seed)
    theirs = nn.MultiheadAttention(8, heads, batch_first=True).double()
    nn.init.normal_(theirs.in_proj_bias)
    nn.init.normal_(theirs.out_proj.bias)
    ours = Attention(8, heads, causal).double()
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs, torch.randn(2, 5, 8, dtype=torch.float64)


seeds = st.integers(0, 99)
several = st.sampled_from([2, 4, 8])


@given(seeds, several)
def test_as_many_vectors_come_out_as_went_in(seed, heads):
    ours, _, x = pair(heads, seed=seed)
    shape = tuple(ours(x).shape)
    assert shape == (2, 5, 8), f"(2, 5, 8) became {shape}"


@given(seeds)
def test_one_head_is_torch_attention(seed):
    ours, theirs, x = pair(1, seed=seed)
    far = (ours(x) - theirs(x, x, x, need_weights=False)[0]).abs().max().item()
    assert far < 1e-9, (
        f"with one head it differs from torch's by {far:.1g}: are all four parameters used, and q, k, "
        "v the first, second and third D of the 3D numbers?"
    )


@given(seeds, several)
def test_several_heads_are_torch_attention(seed, heads):
    ours, theirs, x = pair(heads, seed=seed)
    far = (ours(x) - theirs(x, x, x, need_weights=False)[0]).abs().max().item()
    assert far < 1e-9, (
        f"with {heads} heads it differs from torch's by {far:.1g}: are a head's channels neighbours, "
        "when you cut and when you put together?"
    )


@given(seeds, several)
def test_a_causal_one_is_torch_attention_with_a_mask(seed, heads):
    ours, theirs, x = pair(heads, causal=True, seed=seed)
    mask = torch.ones(5, 5, dtype=bool).triu(1)  # True: hidden
    far = (ours(x) - theirs(x, x, x, attn_mask=mask, need_weights=False)[0]).abs().max().item()
    assert far < 1e-9, (
        f"with causal=True it differs from torch's masked attention by {far:.1g}: does `attention` "
        "get self.causal?"
    )
