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

HINTED = {
    "the logits stay in bits": "test_on_one_rank_it_is_the_gradient",
    "forgets that DDP averages": "test_image_gradients_are_world_times_the_truth",
    "texts get gradients of this rank only": "test_text_gradients_are_summed_over_ranks",
    "takes the first columns of all ranks": "test_text_gradients_are_summed_over_ranks",
    "each rank keeps its part of the scale": "test_the_scale_s_gradient_is_the_true_one_on_every_rank",
    "the scale is world times too large": "test_the_scale_s_gradient_is_the_true_one_on_every_rank",
    "ignores the upstream gradient": "test_it_is_multiplied_by_the_upstream_gradient",
}
KEYS = ["scatter(g_columns)", "unit * collectives.world", "columns[offset : offset"]
