MISTAKES = {
    "positions are forgotten": [("x = x + self.positional_embedding", "")],
    "the mean is not among the cells": [
        ("self.k_proj(x), self.v_proj(x)", "self.k_proj(x[:, 1:]), self.v_proj(x[:, 1:])")
    ],
    "the last cell is the query": [("x[:, :1]", "x[:, -1:]")],
    "heads are interleaved": [("(h d) -> n h l d", "(d h) -> n h l d")],
    "all cells are queries and the results are averaged": [
        ("x[:, :1]", "x"),
        ('"n h 1 d -> n (h d)")', '"n h l d -> n l (h d)").mean(1)'),
    ],
    "any grid that is large enough is taken": [
        ("height != grid or width != grid", "height * width < grid * grid"),
        ("x = x + self", "x = x[:, : grid * grid + 1] + self"),
    ],
}

HINTED = {
    "the last cell is the query": "test_without_positions_the_cells_are_a_set",
    "positions are forgotten": "test_with_positions_the_order_counts",
    "the mean is not among the cells": "test_equal_keys_give_the_mean_of_all_entries",
    "heads are interleaved": "test_it_is_torch_attention_with_the_mean_as_the_query",
    "any grid that is large enough is taken": "test_another_grid_is_refused",
}
KEYS = ["self.q_proj(x[:, :1])", "x.mean(dim=1, keepdim=True)", '"n l (h d) -> n h l d"']
