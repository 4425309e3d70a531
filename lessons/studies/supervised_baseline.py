"""The picture tower trained on the labels of one site, instead of captions from many (CLIP, section
3.3, and its figure 13).

The paper compares zero-shot models with models trained on ImageNet's labels. Here a site that draws
each name in two styles takes the place of ImageNet: one style is trained on, the other is the test at
home, and the site held out is the test under a shift. A linear layer on the tower gives the logits;
loader, augmentation, optimizer and schedule are those of contrastive training. Beside it: the nearest
neighbour, which has the same labels and trains nothing.
Left out: label smoothing, and a validation split to choose settings with.
"""

from types import SimpleNamespace

import torch
from torch import nn
from torch.nn import functional as F

from miniclip.common import UserError
from miniclip.data.icons.icons import Icons
from miniclip.data.loader import batches, join
from miniclip.data.transforms import Preprocess, normalize
from miniclip.evaluation.confidence import share
from miniclip.evaluation.unseen_site import correct, labelled
from miniclip.model.clip import create_model
from miniclip.training.recipe import parameter_groups, recipe, schedule

TESTS = ("home", "heldout_site")  # the splits
# site -> the style to train on, the style to test at home. They were chosen such that home is nearer
# than other sites, by the pixel neighbour's accuracy at home and on the validation sites: .63 and .36,
# .45 and .33, .44 and .30 (bootstrap: .21 and .30)
HOMES = {"google": ("", "outlined"), "fluent": ("regular", "filled"), "remix": ("line", "fill")}


class Home(Icons):
    """The pictures of one site: split train in one of its styles, split home in the other (HOMES).

    pairs: Icons, whose drawings and sites held out it shares. tested_names: the classes of every
    test, the names that train, home and heldout_site have. Raises UserError for fewer than two.
    """

    def __init__(self, pairs, site):
        super().__init__((site,), pairs.held_out_sites, (pairs.owned, pairs.inks))
        first, second = (
            [i for i in self.splits["train"] if any(style == s for _, _, s in self.owned[i])]
            for style in HOMES[site]
        )
        self.splits |= {"train": first, "home": sorted({*second} - {*first})}
        self.trained_names = sorted({name for i in first for name in self.names(i)})
        at_home = {name for i in self.splits["home"] for name in self.names(i)}
        self.tested_names = [name for name in self.shared_names if name in at_home]
        if len(self.tested_names) < 2:
            raise UserError(
                f"{site} and {', '.join(self.held_out_sites)} share fewer than two names that "
                f"{site} draws in both styles"
            )

    def caption(self, i, rng):
        """One of the names of picture i, which is its label in this epoch."""
        names = self.names(i)
        return names[int(rng.integers(len(names)))]


class Labels(Icons):
    """All pictures of some Icons whose names are labels: trained_names, those of the training pictures,
    and tested_names, those that the site held out shares."""

    def __init__(self, pairs):
        super().__init__(pairs.sites, pairs.held_out_sites, (pairs.owned, pairs.inks))
        self.trained_names = sorted({n for i in self.splits["train"] for n in self.names(i)})
        self.tested_names = self.shared_names

    caption = Home.caption


def fit(groups, loss_of, loader, how, steps):
    """Train for so many steps; yields (number of the step, its loss) after each of them.

    groups: AdamW's parameter groups; "times" of one multiplies its learning rate. loss_of: a function
    (normalized pictures, tokens) -> loss, 0-d. how: a recipe, with AdamW's and the schedule's numbers.
    """
    trained = [p for group in groups for p in group["params"]]
    optimizer = torch.optim.AdamW(groups, lr=how.lr, betas=(0.9, how.beta2), eps=how.eps)
    for step in range(1, steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = how.lr * group.get("times", 1) * schedule(step / (steps + 1), how.warmup)
        images, tokens = join(next(loader).parts)
        optimizer.zero_grad()
        loss = loss_of(normalize(images), tokens)
        loss.backward()
        nn.utils.clip_grad_norm_(trained, how.clip_grad)
        optimizer.step()
        yield step, loss


def train(home, model, steps, seed=0):
    """Train the picture tower of a MODELS entry and a linear layer with cross-entropy on
    home.trained_names. Returns its scores, a function indices -> logits of home.tested_names, (K,
    classes)."""
    how = SimpleNamespace(**recipe(model))
    torch.manual_seed(seed)
    clip = create_model(model)
    classes = len(home.trained_names)
    classifier = nn.Sequential(clip.visual, nn.Linear(clip.config["embed_dim"], classes)).train()
    column = {name: k for k, name in enumerate(home.trained_names)}

    def labels_of(names, trim):  # in the place of the tokenizer
        return torch.tensor([[column[name]] for name in names])

    def loss_of(images, labels):
        return F.cross_entropy(classifier(images), labels[:, 0])

    indices, size = home.splits["train"], clip.config["image_size"]
    loader = batches(home, indices, labels_of, how.batch_size, seed, size, None)  # None: redrawn
    groups = parameter_groups(classifier, how.weight_decay)
    for _ in fit(groups, loss_of, loader, how, steps):
        pass
    classifier.eval()
    preprocess, columns = Preprocess(size), [column[name] for name in home.tested_names]

    @torch.inference_mode()
    def scores(indices):
        images = torch.stack([preprocess(home.image(i)) for i in indices])
        return torch.cat([classifier(part)[:, columns] for part in images.split(256)])

    return scores


def neighbour(encode, home):
    """The nearest neighbour among the training pictures of home.tested_names. Returns its scores, a
    function indices -> the cosine to the most similar picture of each class, (K, classes).

    encode: a function (source, indices) -> (unit vectors (K, D), indices), such as unseen_site.ink.
    """
    indices, right = labelled(home, "train", home.tested_names)
    known = encode(home, indices)[0]

    def scores(indices):
        cosines = encode(home, indices)[0] @ known.T
        return torch.where(right, cosines[:, :, None], -torch.inf).amax(1)

    return scores


def accuracies(home, scores):
    """{'home', 'heldout_site': confidence.share}: top-1 over the same classes, home.tested_names.

    scores: what `train` or `neighbour` returns.
    """
    found = {}
    for split in TESTS:
        indices, right = labelled(home, split, home.tested_names)
        hits = correct(scores(indices), right)
        found[split] = share(int(hits.sum()), len(hits))
    return found
