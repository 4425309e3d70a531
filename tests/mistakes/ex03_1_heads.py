MISTAKES = {
    "each head has its own q, k and v side by side": [("(three h d)", "(h three d)")],
    "q, k and v take turns channel by channel": [("(three h d)", "(h d three)")],
    "a head is every h-th channel": [("(three h d)", "(three d h)"), ("(h d)", "(d h)")],
    "put together in another order": [("(h d)", "(d h)")],
    "reshaped without moving the heads": [
        (
            'rearrange(qkv, "n l (three h d) -> three n h l d", three=3, h=self.heads)',
            "(y.reshape(len(x), self.heads, x.shape[1], -1) for y in qkv.chunk(3, dim=-1))",
        ),
        ('rearrange(x, "n h l d -> n l (h d)")', "x.reshape(len(x), x.shape[2], -1)"),
    ],
    "one head whatever was asked": [("h=self.heads", "h=1")],
    "the mask is forgotten": [("v, self.causal", "v")],
    "the bias is forgotten": [("self.in_proj_weight, self.in_proj_bias", "self.in_proj_weight")],
    "the last projection is forgotten": [("return self.out_proj(", "return (")],
    "keys and queries change places": [("attention(q, k,", "attention(k, q,")],
    "the vectors are averaged": [('"n h l d -> n l (h d)"))', '"n h l d -> n l (h d)")).mean(1)')],
}

HINTED = {
    "the vectors are averaged": "test_as_many_vectors_come_out_as_went_in",
    "the bias is forgotten": "test_one_head_is_torch_attention",
    "q, k and v take turns channel by channel": "test_one_head_is_torch_attention",
    "a head is every h-th channel": "test_several_heads_are_torch_attention",
    "reshaped without moving the heads": "test_several_heads_are_torch_attention",
    "the mask is forgotten": "test_a_causal_one_is_torch_attention_with_a_mask",
}
KEYS = ["n l (three h d) -> three n h l d", "n h l d -> n l (h d)", ".chunk(3, dim=-1) gives"]
