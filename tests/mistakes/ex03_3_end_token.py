END = "tokens.argmax(dim=1)"

MISTAKES = {
    "the last position": [(END, "-1")],
    "every text at the end of the first": [(END, END + "[0]")],
    "the last token that is not padding": [(END, "(tokens != 0).sum(dim=1) - 1")],
    "one before the end": [(END, f"({END} - 1).clamp(min=0)")],
    "the mean up to the end": [
        (
            "return x[",
            "x = x.cumsum(1) / torch.arange(1, x.shape[1] + 1)[:, None]\n    return x[",
        )
    ],
}

HINTED = {
    "the last position": "test_a_single_text_is_read_at_its_end",
    "the last token that is not padding": "test_a_single_text_is_read_at_its_end",
    "every text at the end of the first": "test_each_text_is_read_at_its_own_end",
}
KEYS = ["x[torch.arange(", "tokens.argmax(dim=1)"]
