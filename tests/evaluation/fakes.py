"""A model whose pictures and texts are directions in the plane, in degrees, and a report to read."""

from types import SimpleNamespace

import torch
from PIL import Image

from miniclip.data.dataset import BadPicture, Pairs
from miniclip.data.labelled import Labelled
from miniclip.evaluation.context import EvalContext
from miniclip.evaluation.report.writer import Report
from miniclip.evaluation.retrieval import Gallery


class Plane(Pairs):
    """Pictures by index, each one grey level and a direction; those in `bad` cannot be read. names: a
    caption for each."""

    def __init__(self, degrees, bad=(), names=None, splits=None):
        names = names or [f"caption {i}" for i in range(len(degrees))]
        super().__init__("plane", [[name] for name in names], splits or {"train": []})
        self.degrees, self.bad = degrees, bad

    def image(self, i):
        if i in self.bad:
            raise BadPicture("damaged")
        return Image.new("RGB", (16, 16), (i % 256,) * 3)


def directions(degrees):
    angle = torch.tensor([float(d) for d in degrees]).deg2rad()
    return torch.stack([angle.cos(), angle.sin()], 1)


class Features:
    """A FeatureCache without a model. degrees: {sentence: degrees}."""

    tokenizer = None

    def __init__(self, degrees):
        self.degrees, self.model = degrees, SimpleNamespace(shared_space=True)

    def images(self, source, indices):
        kept = [i for i in indices if i not in source.bad]
        return directions([source.degrees[i] for i in kept]), kept

    def texts(self, texts):
        return directions([self.degrees[text] for text in texts])

    def classifier(self, names, templates):
        mean = [self.texts([t.replace("{}", name) for t in templates]).mean(0) for name in names]
        return torch.nn.functional.normalize(torch.stack(mean), dim=1).T

    def scores(self, images, names, templates):
        return images @ self.classifier(names, templates)

    def untrained(self):
        return Features(self.degrees)


class Written(Report):
    """A report. Its figures are not drawn but recorded in `drawn`, {file: (arguments, options)}, with
    their captions in `captions`."""

    def __init__(self, folder):
        super().__init__(folder, "test")
        self.drawn, self.captions = {}, {}

    def figure(self, name, caption, draw, *args, **options):
        self.drawn[name], self.captions[name] = (args, options), caption

    def said(self):
        return "\n".join(self._lines)


def labelled(classes, degrees, train=(), bad=(), names="abc"):
    """Pictures with a class and a direction each; `train` of them come first."""
    every = [*train, *zip(classes, degrees)]
    known, test = [*range(len(train))], [*range(len(train), len(every))]
    pictures, labels = Plane([d for _, d in every], bad), {i: c for i, (c, _) in enumerate(every)}
    splits = {"train": known, "test": test, "all": test}
    return Labelled("home", [*names], pictures, labels, splits)


def directed(names, degrees, *templates):
    """{sentence: degrees} of names in templates."""
    return {t.replace("{}", name): d for t in templates for name, d in zip(names, degrees)}


def context_of(report, features=None, **given):
    """What write() of a section takes."""
    own = dict(pairs=Plane([]), trained_on_pairs=True, labelled=None, templates=["{}"], shifts={})
    return EvalContext(features, report=report, seeds=2, **own | given)


def gallery(pairs, texts, split):
    """The Gallery of a split, without a model; the caption of picture i points at texts[i]."""
    names = [pairs.captions(i)[0] for i in range(len(texts))]
    return Gallery(Features(dict(zip(names, texts))), pairs, pairs.splits[split])
