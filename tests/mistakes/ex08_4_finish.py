LOSS = "torch.nn.functional.softplus(lead, threshold=50)"
ONE_MINUS_P = "torch.exp2(log2_others - lse.double())"

MISTAKES = {
    "one minus the probability": [
        (
            "loss = ",
            "p = torch.exp2(matched - torch.logaddexp2(log2_others, matched))\n    loss = ",
        ),
        (LOSS, "-p.log()"),
        (ONE_MINUS_P, "(1 - p)"),
    ],
    "the loss stays in bits": [(LOSS, LOSS + " / LN2")],
    "adds the exponentials": [
        ("loss = ", "others, e = torch.exp2(log2_others), torch.exp2(matched)\n    loss = "),
        (LOSS, "torch.log1p(others / e)"),
        ("torch.logaddexp2(log2_others, matched).to(z.dtype)", "(others + e).to(z.dtype).log2()"),
        (ONE_MINUS_P, "(others / (others + e))"),
    ],
    "forgets the shift": [(" + double(shift)", "")],
    "one minus p from the unrounded lse": [(ONE_MINUS_P, "lead.sigmoid()")],
}

HINTED = {
    "the loss stays in bits": "test_it_is_the_softmax_of_the_match",
    "forgets the shift": "test_it_is_the_softmax_of_the_match",
    "adds the exponentials": "test_one_pair_has_no_loss",
    "one minus p from the unrounded lse": "test_one_minus_p_is_the_sum_of_the_backward_pass",
}
KEYS = ["softplus(", "logaddexp2(log2_others, matched)", "log2_others - lse.double()"]
