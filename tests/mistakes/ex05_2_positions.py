MISTAKES = {
    "the class token is mixed in": [
        (
            "torch.cat([positions[:1], cells])",
            'F.interpolate(positions.T[None], grid * grid + 1, mode="linear")[0].T',
        )
    ],
    "without antialiasing": [("antialias=True", "antialias=False")],
    "width and grid are confused": [
        (
            'rearrange(positions[1:], "(h w) d -> 1 d h w", h=side)',
            "positions[1:].reshape(1, -1, side, side)",
        )
    ],
    "rows and columns are swapped": [
        ("d h w -> (h w) d", "d h w -> (w h) d"),
        ("if side == grid:", "if False:"),
    ],
    "a remainder is cut off": [
        (
            "if side * side + 1 !=",
            "positions = positions[: side * side + 1]\n    if side * side + 1 >",
        )
    ],
}

HINTED = {
    "the class token is mixed in": "test_the_first_is_kept_and_the_others_fill_the_grid",
    "rows and columns are swapped": "test_the_same_grid_changes_nothing",
    "width and grid are confused": "test_what_is_constant_stays_constant",
    "without antialiasing": "test_shrinking_averages_instead_of_picking",
    "a remainder is cut off": "test_what_is_not_one_and_a_square_is_refused",
}
KEYS = [
    '"(h w) d -> 1 d h w"',
    'mode="bicubic", antialias=True',
    "torch.cat([positions[:1], cells])",
]
