"""Robustness to natural distribution shift (CLIP, section 3.3; Taori et al. 2020).

Accuracy drops on pictures from another source, and models that are better on their own test set
("at home") are better there too. With both accuracies on logit axes the models lie close to a line
(figure 13), so the size of the drop alone says little. Effective robustness is the accuracy by
which a model lies above the line through other models. Handwritten digits are here as well:
pictures far from the training data (section 6).
Left out: the class remapping that ImageNet's variants need.
Lesson: lessons/16_shift.md.
"""

import numpy as np
from PIL import Image

from miniclip.common import UserError
from miniclip.data.labelled import Labelled
from miniclip.evaluation.features import picture_source

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def logit(accuracy, floor=0.005):
    """log(a / (1 - a)) of accuracies, fractions of 1 that are first clipped to floor .. 1 - floor:
    0 of 100 right does not mean that the true accuracy is 0."""
    a = np.clip(np.asarray(accuracy, float), floor, 1 - floor)
    return np.log(a / (1 - a))


def baseline(accuracy, shifted):
    """The line through the models that set the standard, in logits: (slope, intercept).

    accuracy, shifted: (m,) fractions of 1 at home and under the shift. Raises UserError for m < 2,
    or equal accuracies at home.
    """
    x, y = logit(accuracy), logit(shifted)
    if len(x) < 2 or np.ptp(x) < 1e-9:
        raise UserError("a baseline needs at least two models of different accuracy")
    return tuple(np.polyfit(x, y, 1).tolist())


def effective_robustness(accuracy, shifted, line):
    """Accuracy under the shift beyond what the baseline predicts from accuracy at home.

    accuracy, shifted: fractions of 1, numbers or arrays; line: (slope, intercept) in logits, from
    `baseline`. A model on the line has 0; the difference is in accuracy, not in logits.
    """
    slope, intercept = line
    expected = 1 / (1 + np.exp(-(slope * logit(accuracy) + intercept)))
    return np.asarray(shifted, float) - expected


def digits(n=600):
    """scikit-learn's handwritten digits, n to learn from and n to test on: Labelled, dark on white,
    64 x 64. Raises UserError when scikit-learn is missing."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise UserError("the digits need scikit-learn: pip install 'miniclip[eval]'") from None
    found = load_digits()
    grey = 255 - (found.images * (255 / 16)).round().astype(np.uint8)
    pictures = [Image.fromarray(x).resize((64, 64), Image.BICUBIC).convert("RGB") for x in grey]
    order = np.random.default_rng(0).permutation(len(grey))[: 2 * n].tolist()
    labels = {i: int(found.target[i]) for i in order}
    splits = {"train": order[:n], "test": order[n:], "all": order}
    return Labelled("handwritten digits", DIGITS, picture_source(pictures), labels, splits)
