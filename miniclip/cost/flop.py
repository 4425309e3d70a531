"""How many flop a pair takes, counted by torch on the towers as they are built (CLIP, section 2.5).

On the meta device tensors have shapes and no numbers, so counting both passes of the largest model
takes about a second and no memory. torch's counter knows matrix products, convolutions and
attention. A multiplication and an addition are two flop. Causal attention counts as if it had no
mask. Left out: everything else in the towers, which is less than a hundredth in the released
models, and the loss, whose flop grow with the batch (plan.py).
Lesson: lessons/12_cost.md.
"""

import torch
from torch.utils.flop_counter import FlopCounterMode

from miniclip.objectives import from_config


def flop_per_pair(config, length=None):
    """{'image', 'text', 'forward', 'backward', 'recompute'}: flop of one pair in both towers.

    config: a MODELS entry or model.config; length: tokens per text (None: the whole context).
    recompute: the most that --grad-checkpointing computes again, the forward pass without its first
    product. torch 2.13 skips the last product of a block as well, and so computes 0.68 of this for
    vit_l14.
    """
    side, length = config["image_size"], length or config["context_length"]
    with torch.device("meta"):
        model = from_config(config | {"checkpointing": False}).eval()
        images, tokens = torch.empty(1, 3, side, side), torch.zeros(1, length, dtype=torch.long)
    image, image_features = _counted(model.encode_image, images)
    text, text_features = _counted(model.encode_text, tokens)
    backward, _ = _counted((image_features.sum() + text_features.sum()).backward)
    # Each product needs two products in the backward pass: one for the gradient with respect to its
    # input, and one for its weight. Only the very first product needs just one, because nobody asks
    # for the gradient of the pixels. So the first product takes 2 forward - backward flop, and the
    # forward pass without it takes backward - forward.
    forward = image + text
    recompute = backward - forward
    return dict(image=image, text=text, forward=forward, backward=backward, recompute=recompute)


def _counted(function, *arguments):
    """(flop, result) of one call."""
    with FlopCounterMode(display=False) as counter:
        result = function(*arguments)
    return counter.get_total_flops(), result
