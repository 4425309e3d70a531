"""The residual attention block of both towers (Vaswani et al. 2017; CLIP, section 2.4).

x -> x + attention(norm(x)) -> x + mlp(norm(x)), `layers` times. The norm comes before each branch
(pre-norm, as in GPT-2). The sum x itself is never normalized, from the embedding to the last block.
Left out: dropout (CLIP has none), key-value caches, attention over a second sequence.
Lesson: lessons/03_text.md.
"""

import math

import torch
from einops import rearrange
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from miniclip.common import refuse


def quick_gelu(x):
    """x * sigmoid(1.702 x), elementwise: the fast GELU that the released weights were trained with.

    Plain GELU differs by up to 0.0203, which costs those weights accuracy (open_clip's README).
    """
    return F.silu(1.702 * x) / 1.702  # silu(z) = z sigmoid(z) is one kernel in each pass


ACTIVATIONS = {"quickgelu": quick_gelu, "gelu": F.gelu}


def attention(q, k, v, causal=False):
    """Each query's average of the values, weighted by softmax(q k^T / sqrt(d)) over the keys.

    q, k, v: (N, heads, L, d). Returns (N, heads, L, d).
    causal: position i reads positions 0 to i only.
    """
    # torch's fused kernels never store the (L, L) weights, and with is_causal they skip the masked
    # half
    return F.scaled_dot_product_attention(q, k, v, is_causal=causal)


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
        qkv = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        q, k, v = rearrange(qkv, "n l (three h d) -> three n h l d", three=3, h=self.heads)
        x = attention(q, k, v, self.causal)
        return self.out_proj(rearrange(x, "n h l d -> n l (h d)"))


class MLP(nn.Module):
    """Linear to width 4 D, an activation, linear back to D: (N, L, D) -> (N, L, D)."""

    def __init__(self, width, activation):
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width)
        self.c_proj = nn.Linear(4 * width, width)
        self.activation = ACTIVATIONS[activation]

    def forward(self, x):
        return self.c_proj(self.activation(self.c_fc(x)))


class Block(nn.Module):
    """Attention mixes positions; the MLP treats each one by itself: (N, L, D) -> (N, L, D)."""

    def __init__(self, width, heads, activation, causal=False):
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads, causal)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = MLP(width, activation)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    """`layers` blocks, one after another: (N, L, D) -> (N, L, D).

    - activation: a key of ACTIVATIONS.
    - causal: position i reads positions 0 to i only.
    - checkpointing: keep only the input of each block for the backward pass, and compute the rest
      again. This saves memory and takes longer.

    Raises ValueError when heads does not divide width, or when the activation is unknown.
    """

    def __init__(self, width, layers, heads, activation, causal=False, checkpointing=False):
        super().__init__()
        refuse(
            {
                f"a width of {width} cannot be split among {heads} heads": width % heads > 0,
                f"activation must be quickgelu or gelu, not {activation!r}": activation
                not in ACTIVATIONS,
            }
        )
        self.resblocks = nn.ModuleList(
            Block(width, heads, activation, causal) for _ in range(layers)
        )
        self.checkpointing = checkpointing

    def forward(self, x):
        for block in self.resblocks:
            if self.checkpointing and torch.is_grad_enabled():
                # there is no dropout, so no random state to restore
                x = checkpoint(block, x, use_reentrant=False, preserve_rng_state=False)
            else:
                x = block(x)
        return x

    def init_as_gpt(self):
        """Initialize as the released text tower: by GPT-2's rule, scaled by the width.

        All weights are drawn from normal distributions. Each block adds two branches to x. The
        weights of a branch's last layer are divided by sqrt(2 layers), so that the size of x after
        the last block does not grow with the depth.
        """
        for block in self.resblocks:
            width = block.ln_1.normalized_shape[0]
            into_sum = width**-0.5 / math.sqrt(2 * len(self.resblocks))
            nn.init.normal_(block.attn.in_proj_weight, std=width**-0.5)
            nn.init.normal_(block.attn.out_proj.weight, std=into_sum)
            nn.init.normal_(block.mlp.c_fc.weight, std=(2 * width) ** -0.5)
            nn.init.normal_(block.mlp.c_proj.weight, std=into_sum)
