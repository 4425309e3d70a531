"""The weights that fine-tuning starts from (train.py --init): any that `load` reads, perhaps resized.

Released weights bring their tokenizer and the shape of their towers. Only the size of the pictures may
change: position embeddings are interpolated, as for the paper's ViT-L/14@336px (section 2.5).
Left out: another tower beside a released one, and another vocabulary. Both would start from nothing.
Lesson: lessons/19_finetuning.md.
"""

from miniclip.common import refuse
from miniclip.model.clip import MODELS, named
from miniclip.weights.convert import load

RESIZED = ("image_size", "context_length", "activation")  # of the weights, whatever the model says


def initial_state(name: str, model: str | None = None, activation: str | None = None) -> dict:
    """The weights that `name` names, as a run starts from them: {"model", "config", "tokenizer"}.

    name, activation: as in `load`. model: a name of MODELS, the same towers at the size of pictures
    that is wanted; None: as they are. The values are a state dict, `model.config` and
    `Tokenizer.state()`, so that a checkpoint of a run may stand in their place. Raises UserError for
    what `load` refuses, for other towers, and where the file's vocabulary is not known.
    """
    towers = MODELS[named(model)] if model else {}
    loaded, tokenizer, _ = load(name, activation=activation, image_size=towers.get("image_size"))
    config = loaded.config | ({"name": model} if model else {})
    refuse(
        {
            f"--init {name} has other towers than --model {model}: its {key} is {config[key]}, not "
            f"{wanted}; leave out --model to take those of the file": config[key] != wanted
            for key, wanted in towers.items()
            if key not in RESIZED
        }
    )
    return dict(model=loaded.state_dict(), config=config, tokenizer=tokenizer.state())
