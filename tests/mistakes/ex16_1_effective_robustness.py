"""Wrong answers to lessons/exercises/ex16_1_effective_robustness.py."""

import numpy as np

from miniclip.evaluation.robustness import logit


def difference_left_in_logits(accuracy, shifted, line):
    return logit(shifted) - (line[0] * logit(accuracy) + line[1])


def drop_from_home(accuracy, shifted, line):
    return np.asarray(shifted) - np.asarray(accuracy)


def line_applied_to_accuracy_itself(accuracy, shifted, line):
    return np.asarray(shifted) - (line[0] * np.asarray(accuracy) + line[1])


def expected_minus_seen(accuracy, shifted, line):
    return 1 / (1 + np.exp(-(line[0] * logit(accuracy) + line[1]))) - np.asarray(shifted)


def infinite_at_one(accuracy, shifted, line):
    with np.errstate(divide="ignore"):
        home = np.log(np.asarray(accuracy) / (1 - np.asarray(accuracy, float)))
    with np.errstate(invalid="ignore"):
        return np.asarray(shifted) - 1 / (1 + np.exp(-(line[0] * home + line[1] - 0 * home)))
