"""Wrong answers to lessons/exercises/ex18_1_interpolate.py."""

import torch


def _lerp(a, b, alpha):
    return torch.lerp(a, b, alpha) if a.is_floating_point() else _nearer(a, b, alpha)


def _nearer(a, b, alpha):
    return (a if alpha < 0.5 else b).clone()


def alpha_of_the_other_one(start, tuned, alpha):
    return {name: _lerp(tuned[name], x, alpha) for name, x in start.items()}


def one_way_only(start, tuned, alpha):
    """Not exact at 1: the difference is rounded."""
    return {
        name: x + alpha * (tuned[name] - x)
        if x.is_floating_point()
        else _lerp(x, tuned[name], alpha)
        for name, x in start.items()
    }


def two_products(start, tuned, alpha):
    """Exact at both ends, but not where both are the same."""
    return {
        name: (1 - alpha) * x + alpha * tuned[name]
        if x.is_floating_point()
        else _lerp(x, tuned[name], alpha)
        for name, x in start.items()
    }


def batch_norms_left_as_they_were(start, tuned, alpha):
    return {
        name: x.clone()
        if "running" in name and alpha not in (0, 1)
        else _lerp(x, tuned[name], alpha)
        for name, x in start.items()
    }


def parameters_only(start, tuned, alpha):
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    return {
        name: _lerp(x, tuned[name], alpha)
        for name, x in start.items()
        if not name.endswith(buffers)
    }


def counters_become_fractions(start, tuned, alpha):
    return {name: torch.lerp(x.float(), tuned[name].float(), alpha) for name, x in start.items()}


def counters_averaged(start, tuned, alpha):
    return {
        name: torch.lerp(x.double(), tuned[name].double(), alpha).to(x.dtype)
        for name, x in start.items()
    }


def scale_averaged_instead_of_its_logarithm(start, tuned, alpha):
    found = {name: _lerp(x, tuned[name], alpha) for name, x in start.items()}
    if alpha not in (0, 1) and not torch.equal(start["logit_scale"], tuned["logit_scale"]):
        scales = start["logit_scale"].exp(), tuned["logit_scale"].exp()
        found["logit_scale"] = torch.lerp(*scales, alpha).log()
    return found


def written_into_start(start, tuned, alpha):
    for name, x in start.items():
        x.copy_(_lerp(x, tuned[name], alpha))
    return start


def the_ends_themselves(start, tuned, alpha):
    """Returns memory of the arguments for the counters."""
    return {
        name: torch.lerp(x, tuned[name], alpha)
        if x.is_floating_point()
        else (x if alpha < 0.5 else tuned[name])
        for name, x in start.items()
    }
