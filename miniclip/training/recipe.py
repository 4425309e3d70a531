"""The recipe: hyperparameters, schedule and weight decay (CLIP, section 2.5 and appendix F).

The released models have the paper's hyperparameters (tables 18 to 20). The hyperparameters of the
small models were chosen on the embedded pairs. Those of the icon models were chosen on families of
icons that were held out for this choice (docs/icons.md).
Left out: layer-wise learning rates, averaged weights, label smoothing.
Lesson: lessons/11_recipe.md.
"""

import math

from miniclip.common import refuse
from miniclip.model.clip import ALIASES

# crop: the smallest side of the random square, as a share of the picture's short side (paper: 1)
# warmup: the share of the run in which the learning rate rises (paper: 2,000 of 390,000 steps)
PAPER_VIT = dict(
    batch_size=256,  # the paper: 32,768, which --micro-batch makes possible
    epochs=32.0,
    lr=5e-4,
    weight_decay=0.2,
    beta2=0.98,
    eps=1e-6,
    warmup=0.005,
    crop=1.0,
    augment="crop",
    vocab_size=49408,
)
PAPER_RESNET = PAPER_VIT | dict(beta2=0.999, eps=1e-8)
SMALL = PAPER_RESNET | dict(
    batch_size=128,
    epochs=40.0,
    lr=2e-3,
    weight_decay=0.1,
    beta2=0.98,
    warmup=0.05,
    crop=0.8,
    vocab_size=2014,
)
# The text tower was chosen on the development families (docs/icons.md): at equal cost a bag of
# words names their icons better than the Transformer.
ICONS = SMALL | dict(
    objective="contrastive_bow",
    batch_size=512,
    epochs=27.0,
    lr=3e-3,
    weight_decay=0.2,
    eps=1e-6,
    warmup=0.08,
    clip_grad=1.0,
    augment="icons",
    unique_names=True,
    vocab_size=16_384,
)
# Fine-tuning of released weights. The learning rate, the epochs, the decay and the warm-up (500 of
# 25,000 steps) are those of Goyal et al. 2023 (FLYP). Pictures are cropped at random even if the
# model's own recipe redraws icons, because fine-tuning is for pictures of any kind.
FINE_TUNING = dict(epochs=10.0, lr=1e-5, weight_decay=0.1, warmup=0.02, augment="crop")
# For small models the learning rate is a third to half of the rate used from scratch (no other
# value was tried), and a batch is small enough for a CPU.
FINE_TUNING_SMALL = FINE_TUNING | dict(batch_size=128, lr=1e-3, unique_names=False)
PAPER_LR = {"rn50x16": 4e-4, "rn50x64": 3.6e-4, "vit_l14": 4e-4, "vit_l14_336": 2e-5}

MAX_LOGIT_SCALE = math.log(100)  # the paper clips the scale at 100 for stability


def recipe(name):
    """The default hyperparameters of a model, as a new dict.

    name: a name in MODELS, or OpenAI's name. A resumed run may have another name, such as
    "rn_wide". Names that begin with rn get a ResNet's hyperparameters, all others ViT-B/32's.
    """
    name = ALIASES.get(name, name)
    if name.endswith("_mini"):
        return dict(SMALL)
    if name.startswith("rn_icons"):
        return dict(ICONS)
    numbers = PAPER_RESNET if name.startswith("rn") else PAPER_VIT
    return numbers | dict(lr=PAPER_LR.get(name, numbers["lr"]))


def fine_tuning(name):
    """The default hyperparameters for fine-tuning a model, as a new dict. name: as in `recipe`.

    vocab_size and objective are not among them, because the weights bring their own.
    """
    small = name.endswith("_mini") or name.startswith("rn_icons")
    numbers = recipe(name) | (FINE_TUNING_SMALL if small else FINE_TUNING)
    return {k: v for k, v in numbers.items() if k not in ("vocab_size", "objective")}


def parameter_groups(model, weight_decay):
    """AdamW's two groups: weight decay applies to matrices and embeddings, not to vectors or scale.

    Parameters that are not trained are in neither group.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        dict(params=[p for p in trained if p.ndim >= 2], weight_decay=weight_decay),
        dict(params=[p for p in trained if p.ndim < 2], weight_decay=0.0),
    ]


def schedule(progress, warmup):
    """The factor, 0 to 1, by which the peak learning rate is multiplied. progress: the share of the
    run that is over, 0 to 1.

    While progress < warmup the factor rises linearly from 0 to 1. Then it falls along half a
    cosine, and reaches 0 at progress 1. Raises UserError if one of the two is not from 0 to 1.
    """
    shares = f"progress and warmup must be shares from 0 to 1, not {progress} and {warmup}"
    refuse({shares: not (0 <= progress <= 1 and 0 <= warmup <= 1)})
    if progress < warmup:
        return progress / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / max(1 - warmup, 1e-9)))
