MISTAKES = {
    "channels vary fastest": [("(c p q)", "(p q c)")],
    "patches run down the columns": [("(h w)", "(w h)")],
    "a bare reshape": [
        (
            'rearrange(images, "n c (h p) (w q) -> n (h w) (c p q)", p=patch, q=patch)',
            "images.reshape(len(images), -1, weight[0].numel())",
        )
    ],
    "every patch strides the picture": [("(h p) (w q)", "(p h) (q w)")],
    "the weights are cut off from the gradient": [
        ("weight.flatten(1))", "weight.detach().flatten(1)) + 0 * weight.sum()")
    ],
}
