"""A model whose pictures and texts are directions in the plane, in degrees, and a report to read."""

from types import SimpleNamespace

import torch
from PIL import Image

from miniclip.data.dataset import BadPicture
from miniclip.evaluation.confidence import interval, wilson
from miniclip.evaluation.report.writer import Report


class Plane:
    """Pictures by index, each one grey level and a direction; those in `bad` cannot be read."""

    def __init__(self, degrees, bad=()):
        self.degrees, self.bad = degrees, bad

    def image(self, i):
        if i in self.bad:
            raise BadPicture("damaged")
        return Image.new("RGB", (16, 16), (i % 256,) * 3)


def directions(degrees):
    angle = torch.tensor([float(d) for d in degrees]).deg2rad()
    return torch.stack([angle.cos(), angle.sin()], 1)


class Features:
    """A FeatureCache without a model. texts: {sentence: degrees}."""

    model, tokenizer = SimpleNamespace(), None

    def __init__(self, texts):
        self.texts, self.asked = texts, []

    def images(self, source, indices):
        kept = [i for i in indices if i not in source.bad]
        return directions([source.degrees[i] for i in kept]), kept

    def classifier(self, names, templates):
        self.asked.append((list(names), list(templates)))
        mean = [
            directions([self.texts[t.replace("{}", name)] for t in templates]).mean(0)
            for name in names
        ]
        return torch.nn.functional.normalize(torch.stack(mean), dim=1).T

    def scores(self, images, names, templates):
        return images @ self.classifier(names, templates)

    def untrained(self):
        return Features(self.texts)


class Written(Report):
    """A report whose figures are not drawn but recorded in `drawn`, {file: (caption, arguments)}."""

    def __init__(self, folder):
        super().__init__(folder, "test")
        self.drawn = {}

    def figure(self, name, caption, draw, *args, **options):
        self.drawn[name] = caption, args
        if not args:  # it draws what it has already
            draw(self.folder / name)
        super().figure(name, caption, lambda *_, **__: None, *args, **options)

    def lines(self):
        return "\n".join(self._lines).splitlines()


def row(*cells):
    """A row of a table as report.md has it."""
    return f"| {' | '.join(cells)} |"


def cells(right, n):
    """A share as a table shows it."""
    return f"{right / n:.3f}", interval(*wilson(right, n))
