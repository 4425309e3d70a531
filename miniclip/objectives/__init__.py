"""One class per objective: CLIP's, the ones it was compared with (CLIP, figure 2), and SigLIP's.

Each class has a picture tower, and a loss that trains it on captions. Data, vocabulary and tower
are the same for all classes, with one exception: captioning and masked words read the tower's last
grid instead of its pooled feature. The docstring of each class gives the lower bound of its loss on
a batch.

Read contrastive.py first. Its classes have a space that pictures and texts share. The other classes
predict the caption from the picture: read predictive.py, ngrams.py and captioning.py.

A word means a token of the vocabulary here: a whole word if it is frequent, otherwise a piece of a
word.
"""

from miniclip.common import checked, refuse
from miniclip.model.clip import MODELS, named, plain
from miniclip.objectives.captioning import Captioning, MaskedWords
from miniclip.objectives.contrastive import Contrastive, ContrastiveBow, Sigmoid
from miniclip.objectives.ngrams import Ngrams
from miniclip.objectives.predictive import BagOfWords

OBJECTIVES = {
    "contrastive": Contrastive,
    "contrastive_bow": ContrastiveBow,
    "sigmoid": Sigmoid,
    "bag_of_words": BagOfWords,
    "ngrams": Ngrams,
    "captioning": Captioning,
    "masked_words": MaskedWords,
}
# defaults for configs that are older than these options
PLAIN = {"objective": "contrastive", "projection": "linear"}


@checked
def from_config(config: dict):
    """A new model with the shape and the objective of `config`, which is the config of a model.
    Without a key "objective" it is CLIP's own. Raises UserError for an objective that is not in
    OBJECTIVES."""
    objective, known = str((PLAIN | config)["objective"]), ", ".join(OBJECTIVES)
    refuse(
        {f"no objective is called {objective!r}; choose from {known}": objective not in OBJECTIVES}
    )
    return OBJECTIVES[objective](**{k: v for k, v in config.items() if k != "objective"})


@checked
def create(objective: str, name: str, **overrides):
    """A model of MODELS with random weights and the loss of `objective`; else like create_model."""
    name = named(name)
    return from_config(plain(MODELS[name] | {"name": name, "objective": objective} | overrides))
