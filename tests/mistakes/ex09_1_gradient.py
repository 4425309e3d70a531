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
}
