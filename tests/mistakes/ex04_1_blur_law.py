SHAPE = ('assert y.shape == (1, 3, 8, 8), "the grid is not halved"', "")
CONSTANT = ('assert ((y - means).abs() < near).all(), "a constant has changed"', "")
START = "y = blur(means.expand"

MISTAKES = {
    "only a constant": [("(upright, upright.T)", "()")],
    "only stripes away from the edge": [SHAPE, CONSTANT],
    "only upright stripes": [("(upright, upright.T)", "(upright,)")],
    "only lying stripes": [("(upright, upright.T)", "(upright.T,)")],
    "stripes up to the edge": [("[..., 2:-2, 2:-2]", "")],
    "one channel": [("arange(1.0, 4.0)", "ones(1)"), ("(1, 3, 8, 8)", "(1, 1, 8, 8)")],
    "a wide tolerance": [("arange(1.0, 4.0)", "tensor([0.1, 0.2, 0.3])"), ("1e-5", "0.1")],
    "the shape is not looked at": [SHAPE],
    "it is average pooling": [
        (
            START,
            "x = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))\n    "
            "pooled = torch.nn.functional.avg_pool2d(x, 2)\n    "
            "assert torch.allclose(blur(x), pooled, atol=1e-5)\n    " + START,
        )
    ],
    "a shift of stripes changes nothing": [
        SHAPE,
        CONSTANT,
        (
            "y = blur(means * (1 + stripes))[",
            "x = means * (1 + stripes)\n        y = means + (blur(x.roll(1, dims=3)) - blur(x))[",
        ),
    ],
}

HINTED = {
    "stripes up to the edge": "test_right_blurs_keep_the_law",
    "it is average pooling": "test_right_blurs_keep_the_law",
    "only a constant": "test_wrong_blurs_break_the_law",
    "only upright stripes": "test_wrong_blurs_break_the_law",
    "one channel": "test_wrong_blurs_break_the_law",
}
KEYS = ["means * (1 + stripes)", "(upright, upright.T)", "[..., 2:-2, 2:-2]"]
