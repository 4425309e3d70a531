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
