MISTAKES = {
    "subtracts one from the probability": [
        (
            "copy_((one_minus_p_rows[start : start + len(matches)] + of_columns).neg_())",
            "sub_(2)",
        )
    ],
    "only the row's softmax": [
        (".add_(p)", ""),
        (" + of_columns)", ")"),
        ("g_columns, 0.5", "g_columns, 1.0"),
    ],
    "the match is always on the diagonal": [("start + offset", "start")],
    "the match pushes away": [(".neg_()", "")],
    "forgets the half": [("g_columns, 0.5", "g_columns, 1.0")],
    "each chunk begins at the first match": [("start + offset", "offset")],
    "keeps the columns of the last chunk only": [
        ("g_columns.addmm_(g.T, part)", "torch.mm(g.T, part, out=g_columns)")
    ],
    "makes the whole matrix": [
        ("for start in range", "chunk = len(rows)\n    for start in range"),
        (
            "g_rows.new_empty(min(chunk, len(rows)), len(columns))",
            "g_rows.new_empty(len(rows), len(columns))",
        ),
    ],
    "makes the whole matrix, and cuts it into chunks": [
        (
            "for start in range",
            "whole = torch.mm(rows.to(acc) * scale_log2, columns.T)\n    for start in range",
        ),
        ("torch.mm(part * scale_log2, columns.T, out=scratch[: len(part)])", "whole[here]"),
    ],
}

HINTED = {
    "forgets the half": "test_it_is_the_gradient_of_both_cross_entropies",
    "only the row's softmax": "test_it_is_the_gradient_of_both_cross_entropies",
    "the match pushes away": "test_it_is_the_gradient_of_both_cross_entropies",
    "the match is always on the diagonal": "test_ranks_share_the_work",
    "each chunk begins at the first match": "test_chunks_change_nothing",
    "keeps the columns of the last chunk only": "test_chunks_change_nothing",
    "subtracts one from the probability": "test_a_memorised_batch_keeps_a_gradient_that_float32_can_hold",
    "makes the whole matrix": "test_no_operation_makes_more_than_a_chunk",
    "makes the whole matrix, and cuts it into chunks": "test_no_operation_makes_more_than_a_chunk",
}
KEYS = [
    "addmm_(g.T, part)",
    "g.diagonal(first)",
    "one_minus_p_columns[first : first + len(matches)]",
]
