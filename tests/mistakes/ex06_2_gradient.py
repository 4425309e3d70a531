BOTH = "(logits.softmax(1) + logits.softmax(0)) / 2"

MISTAKES = {
    "forgets the match": [("    g.diagonal().sub_(1)\n", "")],
    "subtracts two halves from two softmaxes": [(" / 2\n", "\n")],
    "only pictures choose": [(BOTH, "logits.softmax(1)")],
    "adds both directions": [(" / 2\n", "\n"), ("sub_(1)", "sub_(2)")],
    "it is the gradient, not N times the gradient": [("return g", "return g / len(g)")],
    "it is the step, against the gradient": [("return g", "return -g")],
    "exponentials overflow": [
        (
            BOTH,
            "(logits.exp() / logits.exp().sum(1, keepdim=True) + logits.exp() / logits.exp().sum(0)) / 2",
        )
    ],
    "asks autograd": [
        (BOTH, "logits.detach().clone().requires_grad_()"),
        (
            "    g.diagonal().sub_(1)\n    return g",
            "    with torch.enable_grad():\n"
            "        both = (g.logsumexp(0) + g.logsumexp(1)) / 2 - g.diagonal()\n"
            "    return torch.autograd.grad(both.sum(), g)[0]",
        ),
    ],
}

HINTED = {
    "forgets the match": "test_all_entries_add_up_to_zero",
    "subtracts two halves from two softmaxes": "test_all_entries_add_up_to_zero",
    "only pictures choose": "test_swapping_pictures_and_captions_transposes_it",
    "adds both directions": "test_three_pairs_have_the_table_of_the_lesson",
    "it is the gradient, not N times the gradient": "test_three_pairs_have_the_table_of_the_lesson",
    "it is the step, against the gradient": "test_three_pairs_have_the_table_of_the_lesson",
    "exponentials overflow": "test_large_logits_stay_finite",
    "asks autograd": "test_it_does_not_ask_autograd",
}
KEYS = ["logits.softmax(1) + logits.softmax(0)", "g.diagonal().sub_(1)"]
