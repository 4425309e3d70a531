"""Freezing one tower while the other learns (LiT: Zhai et al. 2022).

A frozen tower gets no gradient, and it is not in the optimizer, so weight decay does not change it
either. Its batch norms normalize with their stored averages, and do not update them. So after
training the tower is bit for bit what it was. Its projection to the shared space is frozen with it.
The scale belongs to neither tower, and is trained.
Left out: computing a frozen tower's features only once. Those of pictures differ in each epoch,
because the crops do.
Lesson: lessons/19_finetuning.md.
"""

from miniclip.common import refuse
from miniclip.model.clip import own_config


def tower_of(name):
    """The tower that a parameter belongs to: "image" or "text". None for the scale and for SigLIP's
    bias."""
    if name in ("logit_scale", "logit_bias"):
        return None
    return "image" if name.startswith(("visual.", "heads.image.")) else "text"


def freeze(model, tower):
    """Freeze the "image" or the "text" tower of a model in training mode, or neither for None.
    Raises UserError for another tower, and for a model inside a wrapper, except torch.compile's."""
    own_config(model)  # in another wrapper the names of parameters do not tell the tower
    refuse(
        {f"the tower must be image or text, not {tower!r}": tower not in (None, "image", "text")}
    )
    # the model inside, if torch.compile has wrapped it: its names begin otherwise
    for name, p in getattr(model, "_orig_mod", model).named_parameters():
        if tower and tower_of(name) == tower:
            p.requires_grad_(False)
    if tower == "image":  # the text tower has no layer that training mode changes
        model.visual.eval()
