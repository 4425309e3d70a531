"""Freezing one tower while the other learns (LiT: Zhai et al. 2022).

A frozen tower gets no gradient, is not in the optimizer (so not decayed either), and its batch norms
normalize with the averages they have and do not change them: after training it is bit for bit what it
was. Its projection to the shared space belongs to it; the scale belongs to none and is trained.
Left out: computing a frozen tower's features once for the whole run, since crops differ by epoch.
Lesson: lessons/19_finetuning.md.
"""


def tower_of(name):
    """The tower that a parameter belongs to: "image", "text", or None for the scale (and SigLIP's
    bias)."""
    if name in ("logit_scale", "logit_bias"):
        return None
    return "image" if name.startswith(("visual.", "heads.image.")) else "text"


def freeze(model, tower):
    """Freeze the "image" or the "text" tower of a model in training mode; None: neither."""
    if tower:
        for name, p in model.named_parameters():
            if tower_of(name) == tower:
                p.requires_grad_(False)
    if tower == "image":  # the text tower has no layer that training mode changes
        model.visual.eval()
