SIZES = "((1, 1, 1), (17, 20, 5), (18, 7, 20))"
CLOSE = "(z / true - 1).abs().max() < 1e-4"

MISTAKES = {
    "only the shape": [(CLOSE, "z.shape == true.shape")],
    "only whole tiles": [(SIZES, "((16, 16, 16), (32, 32, 16))"), ("randn(2, 20,", "randn(2, 32,")],
    "only one tile": [(SIZES, "((7, 9, 5), (16, 16, 16))")],
    "only a shift of zero": [("(-3.0, 3.0)", "(0.0,)")],
    "wrong by a tenth is enough": [("1e-4", "0.1")],
    "must be exact": [("< 1e-4", "== 0")],
    "never fails": [(CLOSE, "True")],
}

HINTED = {
    "must be exact": "test_your_law_passes_the_library",
    "only whole tiles": "test_your_law_fails_a_wrong_kernel",
    "only a shift of zero": "test_your_law_fails_a_wrong_kernel",
    "never fails": "test_your_law_fails_a_wrong_kernel",
}
KEYS = ["((1, 1, 1), (17, 20, 5), (18, 7, 20))", "torch.exp2(10 *"]
