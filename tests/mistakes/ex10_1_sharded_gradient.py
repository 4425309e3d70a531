SCALE = "collectives.total(double(row_dot).sum()) / collectives.world"

MISTAKES = {
    "texts get gradients of this rank only": [
        ("collectives.scatter(g_columns)", "g_columns[offset : offset + len(rows)].clone()")
    ],
    "forgets that DDP averages": [
        (" * collectives.world / n", " / n"),
        (SCALE, "collectives.total(double(row_dot).sum())"),
    ],
    "takes the first columns of all ranks": [
        ("columns[offset : offset + len(g_columns)]", "columns[: len(g_columns)]")
    ],
    "each rank keeps its part of the scale": [(SCALE, "double(row_dot).sum()")],
    "the scale is world times too large": [(SCALE, "collectives.total(double(row_dot).sum())")],
    "averages the columns": [("scatter(g_columns)", "scatter(g_columns) / collectives.world")],
    "ignores the upstream gradient": [("upstream.to(scale_log2.dtype) * ", "")],
    "the logits stay in bits": [("LN2 * ", "")],
}
