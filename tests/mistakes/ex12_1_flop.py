"""Plausible wrong counts of a pair's flop."""


def _flop(
    config,
    length=None,
    product=2,
    cls=1,
    mixing=2,
    causal=1.0,
    projected=None,
    width=None,
    context=True,
    embedding_backward=1,
    again=None,
):
    def tower(layers, width, tokens, mixing):
        block = 12 * tokens * width**2 + mixing * tokens**2 * width
        ends = tokens if projected else 1
        return int(product * (layers * block + ends * width * config["embed_dim"]))

    patches = (config["image_size"] // config["vision_patch"]) ** 2
    first = product * patches * 3 * config["vision_patch"] ** 2 * config["vision_width"]
    blocks = config["vision_layers"], config["vision_width"], patches + cls
    image = first + tower(*blocks, mixing)
    tokens = length or config["context_length"] if context else config["context_length"]
    text_width = width or config["text_width"]
    text = tower(config["text_layers"], text_width, tokens, mixing * causal)
    forward = image + text
    backward = 2 * forward - embedding_backward * first
    recompute = forward if again else forward - first
    return dict(image=image, text=text, forward=forward, backward=backward, recompute=recompute)


def counts_multiplications_only(config, length=None):
    return _flop(config, length, product=1)


def forgets_the_class_token(config, length=None):
    return _flop(config, length, cls=0)


def forgets_the_products_of_attention(config, length=None):
    return _flop(config, length, mixing=0)


def counts_one_of_the_products_of_attention(config, length=None):
    return _flop(config, length, mixing=1)


def halves_causal_attention(config, length=None):
    return _flop(config, length, causal=0.5)


def projects_every_token(config, length=None):
    return _flop(config, length, projected=True)


def takes_the_picture_s_width_for_the_text(config, length=None):
    return _flop(config, length, width=config["vision_width"])


def ignores_the_length(config, length=None):
    return _flop(config, length, context=False)


def takes_the_backward_pass_to_be_twice_the_forward(config, length=None):
    return _flop(config, length, embedding_backward=0)


def computes_the_patches_again(config, length=None):
    return _flop(config, length, again=True)
