"""How many flop a pair takes, counted by torch on the towers as they are built (CLIP, section 2.5).

On the meta device tensors have shapes and no numbers, so counting both passes of the largest model
takes about a second and no memory. torch's counter knows matrix products, convolutions and
attention. A multiplication and an addition are two flop, and causal attention counts in full. Left
out: all else in the towers, below a hundredth of it in the released models, and the loss, whose flop
grow with the batch (plan.py).
Lesson: lessons/12_cost.md.
"""

import torch
from torch.utils.flop_counter import FlopCounterMode

from miniclip.objectives import from_config


def flop_per_pair(config, length=None):
    """{'image', 'text', 'forward', 'backward', 'recompute'}: flop of one pair in both towers.

    config: a MODELS entry or model.config; length: tokens per text (None: the whole context).
    recompute: what --grad-checkpointing computes again, at most: the forward pass without its first
    product. (torch skips a block's last product as well: 0.68 of this for vit_l14 with torch 2.13.)
    """
    side, length = config["image_size"], length or config["context_length"]
    with torch.device("meta"):
        model = from_config(config | {"checkpointing": False}).eval()
        images, tokens = torch.empty(1, 3, side, side), torch.zeros(1, length, dtype=torch.long)
    image, image_features = _counted(model.encode_image, images)
    text, text_features = _counted(model.encode_text, tokens)
    backward, _ = _counted((image_features.sum() + text_features.sum()).backward)
    # Each product has two in the backward pass, one by its input and one by its weight. The very
    # first has one, because no gradient by the pixels is asked for: 2 forward - backward.
    forward = image + text
    recompute = backward - forward
    return dict(image=image, text=text, forward=forward, backward=backward, recompute=recompute)


def _counted(function, *arguments):
    """(flop, result) of one call."""
    with FlopCounterMode(display=False) as counter:
        result = function(*arguments)
    return counter.get_total_flops(), result
