"""What fine-tuning starts from (train.py --init): any weights that `load` reads, perhaps at another size.

Released weights bring their tokenizer and the shape of their towers. Only the size of the pictures may
change: position embeddings are interpolated, as for the paper's ViT-L/14@336px (section 2.5).
Left out: another tower beside a released one, and another vocabulary; both would start from nothing.
Lesson: lessons/18_finetuning.md.
"""

from miniclip.common import UserError
from miniclip.loss import LARGEST_LOG
from miniclip.model.clip import named
from miniclip.weights.convert import load

RESIZED = ("image_size", "context_length", "activation")  # of the weights, whatever the model says


def initial_state(name, model=None, activation=None):
    """The weights that `name` names, as a run starts from them: {"model", "config", "tokenizer"}.

    name, activation: as in `load`. model: a name of MODELS, the same towers at the size of pictures
    that is wanted; None: as they are. The values are a state dict, `model.config` and
    `Tokenizer.state()`, so that a checkpoint of a run may stand in their place. Raises UserError for
    what `load` refuses, for other towers, and where the file's vocabulary is not known.
    """
    loaded, tokenizer, _ = load(name, activation=activation)
    if model:
        for key, wanted in named(model).items():
            if key not in RESIZED and loaded.config[key] != wanted:
                raise UserError(
                    f"--init {name} has other towers than --model {model}: its {key} is "
                    f"{loaded.config[key]}, not {wanted}; leave out --model to take those of the file"
                )
        size = named(model)["image_size"]
        if loaded.config["image_size"] != size:
            loaded, tokenizer, _ = load(name, activation=activation, image_size=size)
        loaded.config["name"] = model
    scale = float(loaded.state_dict().get("logit_scale", 0))
    if scale > LARGEST_LOG:
        raise UserError(
            f"--init {name} has a logit_scale of {scale:.4g}; it is the logarithm of the scale, at most "
            f"{LARGEST_LOG:g}"
        )
    return dict(model=loaded.state_dict(), config=loaded.config, tokenizer=tokenizer.state())
