"""03  Several heads.  Read lessons/03_text.md, then make this file green."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from miniclip.model.transformer import attention  # noqa: F401  (for your answer)

ANSWER = "miniclip.model.transformer:Attention"


class Attention(nn.Module):
    """Multi-head self-attention: (N, L, D) -> (N, L, D). D must be a multiple of heads.

    q, k and v come from one packed (3·D, D) projection: one matrix product instead of three.
    """

    def __init__(self, width, heads, causal=False):
        super().__init__()
        self.heads, self.causal = heads, causal
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        # the initialization of torch's MultiheadAttention, which the released ViTs used
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
        "v the first, second and third D of the 3·D numbers?"
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


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_as_many_vectors_come_out_as_went_in": (
        "Write the shape behind each of your lines. Where does it stop being what you expected?",
        "(N, L, 3·D), then three times (N, L, D), then (N, heads, L, d), and the same way back: the "
        "three steps stand in the section 'Several heads'.",
        "On the way back the heads change places with the positions, and the last two dimensions become "
        "one: answers.transpose(1, 2).flatten(2)",
    ),
    "test_one_head_is_torch_attention": (
        "With one head there is nothing to cut. Which of the four parameters have you not used yet, or "
        "what stands in the wrong order?",
        "There are two linear steps, one with in_proj_weight and in_proj_bias at the beginning and "
        "out_proj at the end. Of the 3·D numbers, the first D are the query, then key, then value.",
        "F.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1) gives q, k and v; at the end "
        "return self.out_proj(...)",
    ),
    "test_several_heads_are_torch_attention": (
        "One head is right, several are not. Which channels belong to the first head?",
        "A head has d neighbouring channels. So the D channels are cut into (heads, d), in this order, "
        "and only then do heads and positions change places. A reshape cannot change places.",
        "q.unflatten(-1, (self.heads, -1)).transpose(1, 2), and for k and v alike; on the way back "
        ".transpose(1, 2).flatten(2)",
    ),
    "test_a_causal_one_is_torch_attention_with_a_mask": (
        "What does the module know that `attention` has not been told?",
        "`attention` hides the later positions when its last argument is true: the section 'Who may "
        "read whom?'.",
        "attention(q, k, v, self.causal)",
    ),
}
DIFFERS = (
    "It cuts and changes places in one line each way, with einops' rearrange, in which each axis has a "
    "name. So the order of the channels can be read in the code, and a wrong reshape cannot mix "
    "it up without being seen."
)
