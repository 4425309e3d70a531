"""What an examination is about: a model, pairs, labelled pictures, shifts, and where the report goes.

`EvalContext` holds them and computes once what several parts of the report need. The command line is in
eval.py; here is what turns its options into data, and each mistake in them into one sentence.
"""

import functools

import numpy as np
import torch
from PIL import Image

from miniclip.common import UserError
from miniclip.data import open_pairs
from miniclip.data.emoji.drawings import KINDS, Drawings
from miniclip.data.labelled import Labelled, of_pairs, open_labelled
from miniclip.evaluation import linear_probe
from miniclip.evaluation.features import raw_pixels
from miniclip.training import checkpoint
from miniclip.zeroshot import imagenet, read_lines

# A template for pictures of anything, and one that knows what the pictures are
GENERIC = "a photo of a {}."
PLAIN = ["{}", GENERIC, "a picture of a {}."]
EMOJI = ["{}", "an emoji of {}", "a drawing of {}", "a picture of {}", "{} icon", "the {} emoji"]
SHOTS = (1, 2, 4, 8, 16)


def open_data(args):
    """(pairs, same): those that were asked for, or those that the checkpoint was trained on, or the
    embedded ones where it does not say (a file of OpenAI's or open_clip's)."""
    try:
        trained = checkpoint.load(args.checkpoint)["options"]
    except UserError:
        trained = None
    source = args.data or (trained or {}).get("data")
    same = trained is not None and source == trained.get("data")
    columns = {}
    for name in ("image_column", "caption_column", "separator"):
        columns[name] = getattr(args, name) or (trained.get(name) if same else None)
    pairs = open_pairs(source, **columns)
    if not same and source:  # nobody trained on any of these
        pairs.splits = {"train": [], "all": list(range(len(pairs)))}
    return pairs, same


def open_templates(args, labelled, pairs):
    """The list of templates: --templates, 'imagenet' for OpenAI's 80, or what suits the pictures.

    Raises UserError for a template without its placeholder.
    """
    templates = EMOJI if labelled and labelled.pictures is pairs else PLAIN
    if args.templates == "imagenet":
        templates = imagenet()[1]
    elif args.templates:
        templates = read_lines(args.templates, "templates")
    for template in templates:
        if template.count("{}") != 1:
            raise UserError(f"template {template!r} must hold {{}} once, where the name goes")
    return templates


def open_examined(args, pairs):
    """The labelled pictures of --images, or those that the pairs bring, or None."""
    names = None
    if args.classes:
        names = imagenet()[0] if args.classes == "imagenet" else read_lines(args.classes, "classes")
    if args.images:
        return open_labelled(args.images, names)
    labelled = of_pairs(pairs)
    if names and labelled is None:
        raise UserError("--classes needs labelled pictures: add --images")
    if names and len(names) != len(labelled.class_names):
        raise UserError(f"--classes has {len(names)} names for {len(labelled.class_names)} classes")
    if names:
        labelled.class_names = names
    return labelled


def open_shifts(args, labelled, pairs):
    """({name: source}, sentences about what is missing): other drawings of the embedded concepts, and
    the folders of --shift NAME=FOLDER, whose classes must be among those of `labelled`."""
    shifts, missing = {}, []
    for given in args.shift or ():
        name, separator, folder = given.partition("=")
        if not separator:
            raise UserError(f"--shift is NAME=FOLDER, not {given!r}")
        if labelled is None:
            raise UserError("--shift needs classes at home: add --images")
        other = open_labelled(folder)
        strange = sorted(set(other.class_names) - set(labelled.class_names))
        if strange:
            raise UserError(f"{folder} has classes that are not at home: {', '.join(strange[:3])}")
        other.labels = {i: labelled.class_names.index(other.class_names[c])
                        for i, c in other.labels.items()}  # fmt: skip
        shifts[name] = (other.pictures, other.splits["all"], other.labels)
    if labelled is not None and hasattr(labelled.pictures, "rows"):  # the embedded emoji
        for kind in KINDS[1:]:
            try:
                drawings = Drawings(labelled.pictures, kind)
            except UserError as error:
                missing.append(f"The drawings called {kind} are left out: {error}.")
                continue
            available = set(drawings.available)
            indices = [i for i in labelled.splits["test"] if i in available]
            shifts[kind] = (drawings, indices, labelled.labels)
    return shifts, missing


class EvalContext:
    """Everything asked about one FeatureCache.

    subject, pairs; own_data: whether the model was trained on the pairs; labelled: data.labelled, or
    None; templates; shifts {name: (source, indices, labels)}; missing: sentences about shifts that
    are not there; report; seeds: how many draws of shots.
    """

    def __init__(
        self, subject, pairs, own_data, labelled, templates, shifts, missing, report, seeds
    ):
        self.subject, self.pairs, self.own_data = subject, pairs, own_data
        self.labelled, self.templates, self.report, self.seeds = labelled, templates, report, seeds
        self.shifts, self.missing = shifts, missing

    def weights(self):
        """The ensemble's classifier of the labelled classes."""
        return self.subject.classifier(self.labelled.class_names, self.templates)

    def seen(self, split, subject=None):
        """(features, labels, indices) of a split of the labelled pictures."""
        features, kept = (subject or self.subject).pictures(
            self.labelled.pictures, self.labelled.splits[split]
        )
        return features, torch.tensor([self.labelled.labels[i] for i in kept]), kept

    @functools.cached_property
    def learnable(self):
        """(classes to take part in probes, shots that all of them allow): as many shots as nearly all
        classes have pictures for; the classes that have fewer are left out."""
        counts = np.bincount([self.labelled.labels[i] for i in self.labelled.splits["train"]],
                             minlength=len(self.labelled.class_names))  # fmt: skip
        for most in SHOTS[::-1]:
            classes = np.flatnonzero(counts >= most)
            if len(classes) >= max(2, 0.8 * len(counts)):
                return classes.tolist(), [k for k in SHOTS if k <= most]
        return [], []

    @functools.cached_property
    def kinds_of_features(self):
        """{name: source, indices -> (features, kept)}: the model's, and two yardsticks'."""
        untrained = self.subject.untrained()
        return {
            "this model": self.subject.pictures,
            "same tower, random weights": untrained.pictures,
            "raw pixels": functools.partial(raw_pixels, side=12),
        }

    def of_classes(self, encode, source, indices, labels):
        """(features, labels) of those pictures whose class takes part in probes."""
        classes = set(self.learnable[0])
        features, kept = encode(source, [i for i in indices if labels[i] in classes])
        return features, torch.tensor([labels[i] for i in kept], dtype=torch.long)

    @functools.cached_property
    def probes(self):
        """{features: {"curve": {k: {test: [accuracy per seed]}}, "full": {test: accuracy},
        "strength": float}}, the tests being "home" and each shift; computed once, drawn twice."""
        home, result = self.labelled, {}
        for name, encode in self.kinds_of_features.items():
            x, y = self.of_classes(encode, home.pictures, home.splits["train"], home.labels)
            tests = {"home": (home.pictures, home.splits["test"], home.labels), **self.shifts}
            tests = {t: self.of_classes(encode, *source) for t, source in tests.items()}
            tests = {t: source for t, source in tests.items() if len(source[1])}
            full, strength = linear_probe.full_probe(x, y)
            result[name] = {
                "curve": linear_probe.shots_curve(x, y, tests, self.learnable[1], self.seeds),
                "full": {t: float(full.score(*(v.numpy() for v in own))) for t, own in tests.items()},
                "strength": strength, "n": {t: len(own[1]) for t, own in tests.items()},
            }  # fmt: skip
        return result

    def zero_shot_accuracy(self, source, indices, labels):
        """(right, n) of the ensemble's classifier among the classes that take part in probes."""
        classes = self.learnable[0]
        x, y = self.of_classes(self.subject.pictures, source, indices, labels)
        predicted = torch.tensor(classes)[(x @ self.weights()[:, classes]).argmax(1)]
        return int((predicted == y).sum()), len(y)


class _Digits:
    """scikit-learn's handwritten digits as pictures: dark on white, as paper is."""

    def __init__(self, pixels):
        self.pixels = pixels

    def image(self, i):
        """Digit i, 64 x 64 RGB."""
        grey = 255 - (self.pixels[i] * (255 / 16)).round().astype(np.uint8)
        return Image.fromarray(grey).resize((64, 64), Image.BICUBIC).convert("RGB")


def digits(n=600):
    """scikit-learn's handwritten digits, n to learn from and n to test on: Labelled, named as emoji
    and people name them. Raises UserError when scikit-learn is missing."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise UserError("the digits need scikit-learn: pip install 'miniclip[eval]'") from None
    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.target))[: 2 * n].tolist()
    names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    labels = {i: int(found.target[i]) for i in order}
    splits = {"train": order[:n], "test": order[n:], "all": order}
    return Labelled("handwritten digits", names, _Digits(found.images), labels, splits)
