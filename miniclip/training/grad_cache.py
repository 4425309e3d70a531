"""A batch larger than memory, exactly (the idea of GradCache: Gao et al. 2021).

Gradient accumulation is no larger batch here: each part would be compared with itself only. But
the towers treat every pair alone, and only the loss sees them all. So: features of all parts
without gradients; the loss once, over the whole batch, for its gradients by the features; then the
towers again, part by part, each pulling its share of those gradients back into the weights. The
price is one more forward pass. With batch norm the result differs from the whole batch in one go,
since every part is normalized by its own mean and variance; a ViT has none, and is exact.
"""

import contextlib

import torch

from miniclip.model.resnet import frozen_bn_stats


def microbatch_step(model, parts, loss_fn, prepare=None, autocast=contextlib.nullcontext):
    """Add the gradients of loss_fn over the whole batch to model's parameters, a part at a time.

    model(images, tokens, normalize=False) -> image, text, scale, perhaps inside DDP; parts: a list
    of (images, tokens), which may wait on the CPU; prepare(part) -> images (M, 3, H, W) and tokens
    (M, L) on the model's device (None: they are moved there); loss_fn(image, text, logit_scale) ->
    0-d; autocast() is a context for each forward pass. Returns the detached (loss, image, text,
    scale) of the whole batch.
    """
    raw = getattr(model, "module", model)

    def to_device(part):
        return (side.to(raw.logit_scale.device, non_blocking=True) for side in part)

    def towers(part):  # only one part is on the device at a time
        images, tokens = (prepare or to_device)(part)
        # autocast keeps its 16-bit copies of the weights until it is closed; those that the first
        # pass made, without gradients, must not serve the second
        with autocast():
            return model(images, tokens, normalize=False)

    with torch.no_grad(), frozen_bn_stats(raw):  # the second pass counts the batch, once
        features = [towers(part)[:2] for part in parts]
    sizes = [len(image) for image, _ in features]
    image, text = (torch.cat(side).requires_grad_() for side in zip(*features))
    logit_scale = raw.logit_scale.detach().requires_grad_()
    loss = loss_fn(image, text, logit_scale)
    d_image, d_text, d_scale = torch.autograd.grad(loss, (image, text, logit_scale))

    later = getattr(model, "no_sync", contextlib.nullcontext)  # DDP averages once, at the last part
    for k, (part, *pull) in enumerate(zip(parts, d_image.split(sizes), d_text.split(sizes))):
        last = k == len(parts) - 1
        with contextlib.nullcontext() if last else later():
            *sides, scale = towers(part)
            if last:  # log(scale) is logit_scale, seen through the model, where DDP sees it too
                sides, pull = [*sides, scale.log()], [*pull, d_scale]
            torch.autograd.backward(sides, pull)
    return loss.detach(), image.detach(), text.detach(), scale.detach()
