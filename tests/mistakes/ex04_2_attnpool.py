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
