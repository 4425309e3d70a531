WRITTEN_OUT = (
    "return F.scaled_dot_product_attention(q, k, v, is_causal=causal)",
    """scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    hidden = torch.ones_like(scores, dtype=bool).triu(1) & causal
    weights = scores.masked_fill(hidden, -torch.inf).softmax(-1)
    return weights @ v""",
)

MISTAKES = {
    "scaled by d instead of its root": [WRITTEN_OUT, ("math.sqrt(q.shape[-1])", "q.shape[-1]")],
    "softmax over the queries": [WRITTEN_OUT, ("softmax(-1)", "softmax(-2).nan_to_num()")],
    "masked after the softmax": [
        WRITTEN_OUT,
        ("masked_fill(hidden, -torch.inf).softmax(-1)", "softmax(-1).masked_fill(hidden, 0)"),
    ],
    "masked with zero scores": [WRITTEN_OUT, ("-torch.inf", "0")],
    "the mask hides the past": [WRITTEN_OUT, ("triu(1)", "tril(-1)")],
    "the mask hides the present": [
        WRITTEN_OUT,
        ("triu(1)", "triu(0)"),
        ("softmax(-1)", "softmax(-1).nan_to_num()"),
    ],
    "exponentials without a shift": [
        WRITTEN_OUT,
        ("softmax(-1)", "exp()"),
        ("weights @ v", "weights / weights.sum(-1, keepdim=True) @ v"),
    ],
}

HINTED = {
    "scaled by d instead of its root": "test_a_query_alone_is_the_formula",
    "masked after the softmax": "test_the_weights_are_an_average",
    "masked with zero scores": "test_causal_the_first_position_sees_itself",
    "the mask hides the past": "test_causal_the_first_position_sees_itself",
    "exponentials without a shift": "test_large_scores_do_not_overflow",
}
KEYS = ["F.scaled_dot_product_attention(", "q @ k.transpose", "scores.masked_fill"]
