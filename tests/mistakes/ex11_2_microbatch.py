"""Plausible wrong ways to a batch larger than memory."""

import contextlib

import torch

from miniclip.model.resnet import frozen_bn_stats


def _step(
    model,
    parts,
    loss_fn,
    prepare=None,
    autocast=contextlib.nullcontext,
    slices=None,
    with_scale=True,
    average=False,
    kept=frozen_bn_stats,
    first=torch.no_grad,
    quiet=True,
    fresh=False,
    equal=False,
    by_hand=False,
    early=False,
):
    raw = getattr(model, "module", model)

    def towers(part):
        part = prepare(part) if prepare else part
        with autocast():
            return model(*part, normalize=False)

    with first(), kept(raw):
        features = [towers(part)[:2] for part in parts]
    sizes = [len(image) for image, _ in features]
    if equal:
        sizes = sizes[0]
    image, text = (torch.cat(side).detach().requires_grad_() for side in zip(*features))
    log_scale = raw.logit_scale.detach().requires_grad_()
    loss = loss_fn(image, text, log_scale)
    d_image, d_text, d_scale = torch.autograd.grad(loss, (image, text, log_scale))
    if fresh:
        raw.zero_grad()
    if average:
        d_image, d_text = d_image / len(parts), d_text / len(parts)
    pulls = list(zip(d_image.split(sizes), d_text.split(sizes)))
    later = getattr(model, "no_sync", contextlib.nullcontext) if quiet else contextlib.nullcontext
    for k, part in enumerate(parts):
        last = k == len(parts) - 1
        pull = list(pulls[slices(k)] if slices else pulls[k])
        with contextlib.nullcontext() if last else later():
            *sides, scale = towers(part)
            pull = [g[: len(side)] for g, side in zip(pull, sides)]
            if last and by_hand:
                raw.logit_scale.grad = d_scale + (
                    0 if raw.logit_scale.grad is None else raw.logit_scale.grad
                )
            elif (k == 0 if early else last) and with_scale:
                sides, pull = [*sides, scale.log()], [*pull, d_scale]
            torch.autograd.backward(sides, pull)
    return loss.detach(), image.detach(), text.detach(), raw.logit_scale.exp().detach()


def accumulates_the_parts(model, parts, loss_fn, prepare=None, autocast=contextlib.nullcontext):
    raw, out, losses = getattr(model, "module", model), [], []
    for part in parts:
        with autocast():
            image, text, scale = model(*(prepare(part) if prepare else part), normalize=False)
        loss = loss_fn(image, text, raw.logit_scale) / len(parts)
        loss.backward()
        losses.append(loss.detach())
        out.append((image.detach(), text.detach()))
    image, text = (torch.cat(side) for side in zip(*out))
    return sum(losses), image, text, scale.detach()


def the_scale_learns_nothing(*how):
    return _step(*how, with_scale=False)


def adds_the_scale_s_gradient_by_hand(*how):
    return _step(*how, by_hand=True)


def the_scale_s_gradient_comes_with_the_first_part(*how):
    return _step(*how, early=True)


def pulls_the_first_part_s_gradients_everywhere(*how):
    return _step(*how, slices=lambda k: 0)


def averages_over_the_parts(*how):
    return _step(*how, average=True)


def batch_norm_counts_twice(*how):
    def nothing_kept(model):
        return contextlib.nullcontext()

    return _step(*how, kept=nothing_kept)


def keeps_all_graphs_in_the_first_pass(*how):
    return _step(*how, first=contextlib.nullcontext)


def ranks_average_at_every_part(*how):
    return _step(*how, quiet=False)


def forgets_what_was_there(*how):
    return _step(*how, fresh=True)


def takes_all_parts_to_be_as_large_as_the_first(*how):
    return _step(*how, equal=True)


def prepares_all_parts_at_once(model, parts, loss_fn, prepare=None, *more):
    return _step(
        model, [prepare(part) for part in parts] if prepare else parts, loss_fn, None, *more
    )


def one_autocast_around_everything(
    model, parts, loss_fn, prepare=None, autocast=contextlib.nullcontext
):
    with autocast():
        return _step(model, parts, loss_fn, prepare)


def no_autocast(model, parts, loss_fn, prepare=None, autocast=None):
    return _step(model, parts, loss_fn, prepare)
