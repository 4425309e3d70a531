"""Plausible wrong ways to a batch larger than memory."""

import contextlib

import torch

from miniclip.resnet import statistics_kept


def _step(
    model, images, tokens, size, loss_fn, slices=None, with_scale=True, average=False,
    kept=statistics_kept, first=torch.no_grad, quiet=True, fresh=False,
):  # fmt: skip
    raw = getattr(model, "module", model)
    parts = list(zip(images.split(size), tokens.split(size)))
    with first(), kept(raw):
        features = [model(*part, normalize=False)[:2] for part in parts]
    image, text = (torch.cat(side).detach().requires_grad_() for side in zip(*features))
    log_scale = raw.logit_scale.detach().requires_grad_()
    loss = loss_fn(image, text, log_scale)
    d_image, d_text, d_scale = torch.autograd.grad(loss, (image, text, log_scale))
    if fresh:
        raw.zero_grad()
    if average:
        d_image, d_text = d_image / len(parts), d_text / len(parts)
    pulls = list(zip(d_image.split(size), d_text.split(size)))
    later = getattr(model, "no_sync", contextlib.nullcontext) if quiet else contextlib.nullcontext
    for k, part in enumerate(parts):
        last = k == len(parts) - 1
        pull = list(pulls[slices(k)] if slices else pulls[k])
        with contextlib.nullcontext() if last else later():
            *sides, scale = model(*part, normalize=False)
            pull = [g[: len(side)] for g, side in zip(pull, sides)]
            if last and with_scale:
                sides, pull = [*sides, scale.log()], [*pull, d_scale]
            torch.autograd.backward(sides, pull)
    return loss.detach(), image.detach(), text.detach(), raw.logit_scale.exp().detach()


def accumulates_the_parts(model, images, tokens, size, loss_fn):
    raw, out, losses = getattr(model, "module", model), [], []
    parts = list(zip(images.split(size), tokens.split(size)))
    for part in parts:
        image, text, scale = model(*part, normalize=False)
        loss = loss_fn(image, text, raw.logit_scale) / len(parts)
        loss.backward()
        losses.append(loss.detach())
        out.append((image.detach(), text.detach()))
    image, text = (torch.cat(side) for side in zip(*out))
    return sum(losses), image, text, scale.detach()


def the_scale_learns_nothing(model, images, tokens, size, loss_fn):
    return _step(model, images, tokens, size, loss_fn, with_scale=False)


def pulls_the_first_part_s_gradients_everywhere(model, images, tokens, size, loss_fn):
    return _step(model, images, tokens, size, loss_fn, slices=lambda k: 0)


def averages_over_the_parts(model, images, tokens, size, loss_fn):
    return _step(model, images, tokens, size, loss_fn, average=True)


def batch_norm_counts_twice(model, images, tokens, size, loss_fn):
    def nothing_kept(model):
        return contextlib.nullcontext()

    return _step(model, images, tokens, size, loss_fn, kept=nothing_kept)


def keeps_all_graphs_in_the_first_pass(model, images, tokens, size, loss_fn):
    return _step(model, images, tokens, size, loss_fn, first=contextlib.nullcontext)


def ranks_average_at_every_part(model, images, tokens, size, loss_fn):
    return _step(model, images, tokens, size, loss_fn, quiet=False)


def forgets_what_was_there(model, images, tokens, size, loss_fn):
    return _step(model, images, tokens, size, loss_fn, fresh=True)
