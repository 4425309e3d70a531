"""Zero-shot classification: the text encoder writes a classifier from the names of its classes
(CLIP, sections 3.1.2 and 3.1.4).

A class is a sentence; a sentence is a unit vector; the vector is a column of a linear classifier.
With several templates ("a photo of a {}.", "a drawing of a {}.") the vectors of one class are
averaged and normalized again: an ensemble in embedding space costs nothing at prediction time.
The text encoder is a hypernetwork here: it is run once a class, and writes the weights.
Left out: calibration of the logits, and prompts that are learned.
"""

from pathlib import Path

import torch
from torch.nn import functional as F

from miniclip.common import UserError
from miniclip.evaluation.confidence import share
from miniclip.evaluation.retrieval import encode_texts


def classifier_weights(model, tokenizer, names, templates):
    """The zero-shot classifier: (E, classes) fp32, columns of length one.

    names: one string a class. templates: strings with one {} for the name; a bare "{}" is the name
    alone. Raises ValueError for no names, no templates, or a template without its placeholder.
    """
    if isinstance(names, str) or not list(names):
        raise ValueError("names must be a non-empty list of class names")
    if isinstance(templates, str) or not list(templates):
        raise ValueError('templates must be a non-empty list such as ["a photo of a {}."]')
    for template in templates:
        if template.count("{}") != 1:
            raise ValueError(f"template {template!r} must hold {{}} once, where the name goes")
    sentences = [template.replace("{}", name) for name in names for template in templates]
    features = encode_texts(model, tokenizer, sentences)
    mean = features.unflatten(0, (len(names), len(templates))).mean(1)  # (classes, E)
    return F.normalize(mean, dim=1).T


def classify(pictures, weights):
    """Predicted class of each picture: (K, E) unit features, (E, classes) -> (K,) int64."""
    return (pictures @ weights).argmax(1)


def accuracy(predicted, labels):
    """{'accuracy', 'balanced_accuracy', 'n', 'low', 'high'}: the share right, its mean over the
    classes present, and the 95 % interval (Wilson) of the first. Raises UserError for no pictures."""
    predicted, labels = torch.as_tensor(predicted), torch.as_tensor(labels)
    if len(labels) == 0:
        raise UserError("no labelled pictures to classify")
    right = (predicted == labels).double()
    per_class = [right[labels == c].mean().item() for c in labels.unique()]
    interval = share(int(right.sum()), len(labels))
    return {
        "accuracy": interval["value"],
        "balanced_accuracy": sum(per_class) / len(per_class),
        "n": len(labels),
        "low": interval["low"],
        "high": interval["high"],
    }


def scores(similarity, labels, k=5):
    """accuracy of the best class of each row, and 'top5', the share with its class among the k best.

    similarity: (n, classes); labels: (n,) int64. A class is among the k best when fewer than k are
    better, so that a model that says the same of all classes gains nothing by ties at the end.
    """
    labels = torch.as_tensor(labels)
    result = accuracy(similarity.argmax(1), labels)
    own = similarity.gather(1, labels[:, None])
    others = (similarity >= own).sum(1) - 1  # ties count against it
    return result | {f"top{k}": (others < k).double().mean().item()}


def read_lines(path, what):
    """The lines of a text file that say something: list of str. Raises UserError, naming `what`."""
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UserError(f"{what} cannot be read from {path}: {reason}") from None
    lines = [line.strip() for line in lines if line.strip()]
    if not lines:
        raise UserError(f"{path} holds no {what}; give one a line")
    return lines


def imagenet():
    """OpenAI's 1,000 names and 80 templates for ImageNet, as open_clip brings them: (names, templates).

    Raises UserError where open_clip is not installed.
    """
    try:
        from open_clip import IMAGENET_CLASSNAMES, OPENAI_IMAGENET_TEMPLATES
    except ImportError:
        raise UserError(
            "ImageNet's names and templates need: pip install open_clip_torch"
        ) from None
    return list(IMAGENET_CLASSNAMES), [template("{}") for template in OPENAI_IMAGENET_TEMPLATES]


def nearest_neighbour(known, known_labels, asked):
    """Label of the nearest known row by Euclidean distance: a supervised yardstick.

    known (K, P) and asked (Q, P) are pictures as flat floats, known_labels (K,) int64 -> (Q,).
    """
    return known_labels[torch.cdist(asked, known).argmin(1)]
