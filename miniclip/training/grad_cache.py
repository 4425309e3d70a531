"""A batch that is larger than memory, with exact gradients (GradCache: Gao et al. 2021).

Gradient accumulation does not give the loss of a larger batch, because each pair would be compared
only with the pairs of its own part. But the towers compute each pair's features from that pair
alone, and only the loss needs all pairs. So there are three stages:

1. the features of all parts, without gradients;
2. the loss of the whole batch, and its gradients with respect to the features;
3. the towers again, part by part, with a backward pass from the part's slice of those gradients.

This costs one more forward pass. With batch norm the gradients are not exact, because each part is
normalized by its own mean and variance. A ViT has no batch norm.
A loss that does not mix pairs needs no such stages: the gradients of its parts can simply be
summed. Left out: parts of different sizes for the two towers.
Lesson: lessons/11_recipe.md.
"""

import contextlib

import torch

from miniclip.common import refuse
from miniclip.data.loader import join
from miniclip.data.transforms import normalize
from miniclip.model.resnet import frozen_bn_stats


def microbatch_step(model, parts, loss_fn, prepare=tuple, autocast=contextlib.nullcontext):
    """Compute the gradients of loss_fn over the whole batch, part by part, and add them to the
    .grad of the model's parameters.

    model: model(images, tokens, normalize=False) returns image, text and scale; it may be inside
    DDP. It must draw no random numbers (dropout), because both passes need the same features, and
    nothing checks this. parts: a list of (images, tokens). loss_fn: a function of image, text and
    logit_scale that returns a 0-d loss. prepare: a function of a part that returns images
    (M, 3, H, W) and tokens (M, L) on the model's device, so that other parts can wait on the CPU.
    By default a part is used as it is. autocast: a function that returns the context of each
    forward pass. An argument that loss_fn does not use has a gradient of zeros. Raises UserError
    under torch.no_grad.

    Returns the detached (loss, image, text, scale) of the whole batch: image and text are (N, E),
    scale is 0-d.
    """
    raw = getattr(model, "module", model)
    parts = list(parts)  # a loader that shuffles would give the second pass other parts
    refuse(
        {
            "gradients are switched off; leave torch.no_grad": not torch.is_grad_enabled(),
            "a batch needs at least one part": not parts,
        }
    )

    def towers(part):  # only one part is on the device at a time
        images, tokens = prepare(part)
        # Each pass has its own context. autocast keeps its 16-bit copies of the weights until its
        # context ends, and torch 2.7 would use the first pass's copies, which have no gradients.
        with autocast():
            return model(images, tokens, normalize=False)

    with torch.no_grad(), frozen_bn_stats(raw):  # only the second pass updates the averages
        features = [towers(part)[:2] for part in parts]
    sizes = [len(image) for image, _ in features]
    image, text = (torch.cat(side).requires_grad_() for side in zip(*features))
    logit_scale = raw.logit_scale.detach().requires_grad_()
    loss = loss_fn(image, text, logit_scale)
    inputs = image, text, logit_scale
    d_image, d_text, d_scale = torch.autograd.grad(loss, inputs, materialize_grads=True)

    no_sync = getattr(model, "no_sync", contextlib.nullcontext)  # DDP averages after the last part
    for k, (part, *grads) in enumerate(zip(parts, d_image.split(sizes), d_text.split(sizes))):
        last = k == len(parts) - 1
        with contextlib.nullcontext() if last else no_sync():
            *outputs, scale = towers(part)
            # DDP needs logit_scale among the outputs; scale.log() is logit_scale, from an output
            if last:
                outputs, grads = [*outputs, scale.log()], [*grads, d_scale]
            trained = [(x, grad) for x, grad in zip(outputs, grads) if x.requires_grad]
            torch.autograd.backward(*zip(*trained))  # a frozen tower has no gradient
    return loss.detach(), image.detach(), text.detach(), scale.detach()


def prepared_parts(parts, config, device):
    """(parts, to_device) for a batch.

    parts: the micro-batches, or without --micro-batch the whole batch as a single part. to_device:
    a function of a part that returns (images, tokens) on the device. The images are normalized, in
    float32.
    """
    # in a run on one rank, a part may have lost all its pairs, because no picture could be read
    parts = [part for part in parts if len(part[1])]
    if not config.micro_batch:
        parts = [join([[side.to(device) for side in part] for part in parts])]

    def to_device(part):
        # The copy from pinned memory does not block: the host only waits at the end of the step,
        # before the loader writes over the batch.
        images, tokens = (side.to(device, non_blocking=True) for side in part)
        if config.compile:  # compile only once for captions of all lengths
            torch._dynamo.maybe_mark_dynamic(tokens, 1)
        return normalize(images), tokens

    return parts, to_device
