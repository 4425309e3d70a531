"""How many flop a pair takes, from the shapes of the towers as they are built (CLIP, section 2.5).

Matrix products and convolutions only, a multiplication and an addition counted as two; everything
else together is below a hundredth. Left out: the loss, which is per batch and not per pair (plan.py).
"""

from miniclip.model.resnet import EXPANSION


def transformer_flop(layers, width, length):
    """Forward flop of the blocks for one sequence: 24 L D^2 in the weights, 4 L^2 D in attention.

    A multiplication and an addition are two. Causal attention counts in full, as if it were not.
    """
    return layers * (24 * length * width**2 + 4 * length**2 * width)


def vit_flop(config):
    """(all, first) for one picture: forward flop, and those of the patch projection alone."""
    width, patch = config["vision_width"], config["vision_patch"]
    cells = (config["image_size"] // patch) ** 2
    first = 2 * cells * 3 * patch**2 * width
    blocks = transformer_flop(config["vision_layers"], width, cells + 1)
    return first + blocks + 2 * width * config["embed_dim"], first


def resnet_flop(config):
    """(all, first) for one picture: forward flop, and those of the first convolution alone.

    A convolution of k x k from C to C' channels takes 2 k^2 C C' a cell of its output.
    """
    width, side = config["vision_width"], config["image_size"] // 2
    first = 2 * 9 * 3 * (width // 2) * side**2
    total = first + 2 * 9 * (width // 2) * (width // 2 + width) * side**2
    side, channels = side // 2, width
    for stage, depth in enumerate(config["vision_layers"]):
        inner = width * 2**stage
        outer = inner * EXPANSION
        for index in range(depth):
            total += 2 * (channels * inner + 9 * inner**2) * side**2
            if index == 0 and stage > 0:
                side //= 2
            total += 2 * inner * outer * side**2
            if index == 0:
                total += 2 * channels * outer * side**2  # the shortcut's
            channels = outer
    cells = side**2 + 1
    query_and_out = 2 * channels * (channels + config["embed_dim"])
    return total + query_and_out + 4 * cells * channels * (channels + 1), first


def flop_per_pair(config, length=None):
    """{'image', 'text', 'forward', 'backward', 'recompute'}: flop of one pair in both towers.

    config: a MODELS entry or model.config; length: tokens a text (None: the whole context). Each
    product has two in the backward pass, one by its input and one by its weight; the very first has
    no input that wants one. recompute: what --grad-checkpointing computes again, all but the first.
    """
    length = length or config["context_length"]
    tower = vit_flop if isinstance(config["vision_layers"], int) else resnet_flop
    image, first = tower(config)
    width = config["text_width"]
    text = transformer_flop(config["text_layers"], width, length) + 2 * width * config["embed_dim"]
    forward = image + text
    return dict(
        image=image, text=text, forward=forward, backward=2 * forward - first,
        recompute=forward - first,
    )  # fmt: skip
