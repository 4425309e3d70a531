"""Plausible wrong ways to cut the channels into heads."""

from einops import rearrange as _rearrange
from torch.nn import functional as _F

from miniclip.model.transformer import Attention as _Attention
from miniclip.model.transformer import attention as _attention


class _Heads(_Attention):
    """The right one, in parts that the mistakes replace."""

    cut, together = "n l (three h d) -> three n h l d", "n h l d -> n l (h d)"

    def packed(self, x):
        return _F.linear(x, self.in_proj_weight, self.in_proj_bias)

    def average(self, q, k, v):
        return _attention(q, k, v, self.causal)

    def forward(self, x):
        q, k, v = _rearrange(self.packed(x), self.cut, three=3, h=self.heads)
        return self.out_proj(_rearrange(self.average(q, k, v), self.together))


class each_head_has_its_own_q_k_and_v_side_by_side(_Heads):
    cut = "n l (h three d) -> three n h l d"


class q_k_and_v_take_turns_channel_by_channel(_Heads):
    cut = "n l (h d three) -> three n h l d"


class a_head_is_every_hth_channel(_Heads):
    cut, together = "n l (three d h) -> three n h l d", "n h l d -> n l (d h)"


class put_together_in_another_order(_Heads):
    together = "n h l d -> n l (d h)"


class reshaped_without_moving_the_heads(_Heads):
    def forward(self, x):
        q, k, v = self.packed(x).chunk(3, dim=-1)
        parts = [y.reshape(len(x), self.heads, x.shape[1], -1) for y in (q, k, v)]
        return self.out_proj(self.average(*parts).reshape(x.shape))


class one_head_whatever_was_asked(_Heads):
    cut = "n l (three h d) -> three n 1 l (h d)"
    together = "n 1 l d -> n l d"


class the_mask_is_forgotten(_Heads):
    def average(self, q, k, v):
        return _attention(q, k, v)


class the_bias_is_forgotten(_Heads):
    def packed(self, x):
        return _F.linear(x, self.in_proj_weight)


class the_last_projection_is_forgotten(_Heads):
    def forward(self, x):
        q, k, v = _rearrange(self.packed(x), self.cut, three=3, h=self.heads)
        return _rearrange(self.average(q, k, v), self.together)


class keys_and_queries_change_places(_Heads):
    def average(self, q, k, v):
        return _attention(k, q, v, self.causal)
