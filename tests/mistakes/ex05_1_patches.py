MISTAKES = {
    "channels vary fastest": [("(c p q)", "(p q c)")],
    "patches run down the columns": [("(h w)", "(w h)")],
    "a bare reshape": [
        (
            'rearrange(images, "n c (h p) (w q) -> n (h w) (c p q)", p=patch, q=patch)',
            "images.reshape(len(images), -1, weight[0].numel())",
        )
    ],
    "a convolution does the cutting": [
        (
            "F.linear(x, weight.flatten(1))",
            "F.conv2d(images, weight, stride=patch).flatten(2).transpose(1, 2)",
        )
    ],
    "every patch strides the picture": [("(h p) (w q)", "(p h) (q w)")],
    "the weights are cut off from the gradient": [
        ("weight.flatten(1))", "weight.detach().flatten(1)) + 0 * weight.sum()")
    ],
}

HINTED = {
    "patches run down the columns": "test_a_patch_is_read_by_its_own_position_only",
    "a bare reshape": "test_a_patch_is_read_by_its_own_position_only",
    "channels vary fastest": "test_it_is_a_convolution_whose_stride_is_its_size",
    "the weights are cut off from the gradient": "test_the_gradient_reaches_the_weights",
    "a convolution does the cutting": "test_it_cuts_the_picture_itself",
}
KEYS = ['"n c (h p) (w q) -> n (h w) (c p q)"', "weight.flatten(1)"]
