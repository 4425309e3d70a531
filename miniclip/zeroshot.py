"""Zero-shot classification: the text encoder writes a classifier from the names of its classes
(CLIP, sections 3.1.2 and 3.1.4).

A class is a sentence; a sentence is a unit vector; the vector is a column of a linear classifier.
With several templates ("a photo of a {}.", "a drawing of a {}.") the vectors of one class are
averaged and normalised again: an ensemble in embedding space costs nothing at prediction time.
"""

import torch
from torch.nn import functional as F

from miniclip.retrieval import encode_texts


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
    """{'accuracy', 'balanced_accuracy', 'n'}: share right, and its mean over the classes present."""
    predicted, labels = torch.as_tensor(predicted), torch.as_tensor(labels)
    if len(labels) == 0:
        raise ValueError("no labelled pictures to classify")
    right = (predicted == labels).double()
    per_class = [right[labels == c].mean().item() for c in labels.unique()]
    return {
        "accuracy": right.mean().item(),
        "balanced_accuracy": sum(per_class) / len(per_class),
        "n": len(labels),
    }


def nearest_neighbour(known, known_labels, asked):
    """Label of the nearest known row by Euclidean distance: a supervised yardstick.

    known (K, P) and asked (Q, P) are pictures as flat floats, known_labels (K,) int64 -> (Q,).
    """
    return known_labels[torch.cdist(asked, known).argmin(1)]
