"""CLIP's objective, those it was compared with (CLIP, figure 2), and more: one class a file.

Each class is a picture tower and what trains it on captions; the data and the vocabulary are the same
for all, and so is the tower, but that captioning and masked words read its last grid. The docstring of
a class gives the lower bound of the loss on a batch. Reading order: contrastive.py, contrastive_bow.py
and sigmoid.py have a space that pictures and texts share. predictive.py is what the others have in
common: they predict the caption from the picture. bag_of_words.py, ngrams.py, captioning.py and
masked_words.py follow.

A word means here a token of the vocabulary: a whole word where it is frequent, else a piece of one.
"""

from miniclip.common import UserError
from miniclip.model.clip import named
from miniclip.objectives.bag_of_words import BagOfWords
from miniclip.objectives.captioning import Captioning
from miniclip.objectives.contrastive import Contrastive
from miniclip.objectives.contrastive_bow import ContrastiveBow
from miniclip.objectives.masked_words import MaskedWords
from miniclip.objectives.ngrams import Ngrams
from miniclip.objectives.sigmoid import Sigmoid

OBJECTIVES = {
    "contrastive": Contrastive,
    "contrastive_bow": ContrastiveBow,
    "sigmoid": Sigmoid,
    "bag_of_words": BagOfWords,
    "ngrams": Ngrams,
    "captioning": Captioning,
    "masked_words": MaskedWords,
}
# what a config, or a run of before there was a choice, says by leaving these out
PLAIN = {"objective": "contrastive", "projection": "linear"}


def from_config(config):
    """A new model of the shape and the objective that `model.config` tells; CLIP's own has no key
    "objective". Raises UserError for an objective that is not in OBJECTIVES."""
    objective = (PLAIN | config)["objective"]
    if objective not in OBJECTIVES:
        raise UserError(f"there is no objective {objective!r}; there are {', '.join(OBJECTIVES)}")
    return OBJECTIVES[objective](**{k: v for k, v in config.items() if k != "objective"})


def create(objective, name, **overrides):
    """A model of MODELS with new weights that is trained by `objective`, else as create_model."""
    return from_config(named(name) | {"name": name, "objective": objective} | overrides)


def shared_space(model):
    """Whether texts and pictures have features in one space, so that they can be compared."""
    return getattr(model, "shared_space", True)
