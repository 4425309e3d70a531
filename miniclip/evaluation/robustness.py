"""Robustness to natural distribution shift (CLIP, section 3.3; Taori et al. 2020).

Every model does worse on pictures from elsewhere, and better models do better there too: on logit
axes, accuracy under the shift is close to a line in accuracy at home (figure 13). So the drop alone
says little. Effective robustness is how far a model lies above the line that others lie on.
Left out: the class remapping that ImageNet's variants need.
"""

import numpy as np

from miniclip.common import UserError


def logit(accuracy, floor=0.005):
    """log(a / (1 - a)) of accuracies as fractions of 1; those at the ends are moved in by `floor`,
    since 0 of 100 right does not mean never."""
    a = np.clip(np.asarray(accuracy, float), floor, 1 - floor)
    return np.log(a / (1 - a))


def baseline(accuracy, shifted):
    """The line through the models that set the standard, in logits: (slope, intercept).

    accuracy, shifted: (m,) fractions of 1 at home and under the shift, m >= 2 with different
    accuracies; otherwise ValueError.
    """
    x, y = logit(accuracy), logit(shifted)
    if len(x) < 2 or np.ptp(x) < 1e-9:
        raise UserError("a baseline needs at least two models of different accuracy")
    slope, intercept = np.polyfit(x, y, 1)
    return float(slope), float(intercept)


def effective_robustness(accuracy, shifted, line):
    """Accuracy under the shift beyond what the baseline predicts from accuracy at home.

    accuracy, shifted: fractions of 1, numbers or arrays; line: (slope, intercept) in logits, from
    `baseline`. 0 is what others of this accuracy have; the difference is in accuracy, not in logits.
    """
    slope, intercept = line
    expected = 1 / (1 + np.exp(-(slope * logit(accuracy) + intercept)))
    return np.asarray(shifted, float) - expected
