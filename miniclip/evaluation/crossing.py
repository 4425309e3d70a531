"""Where a curve first reaches an accuracy, on a logarithmic axis (CLIP, figures 2 and 7).

The race of objectives asks it of pairs, the probes of labelled pictures a class. Left out: what lies
beyond the points.
Lesson: lessons/13_objectives.md.
"""


def reached(pairs, accuracy, target):
    """After how many pairs a curve first has the accuracy `target`, by straight lines over the
    logarithm of pairs; None where it never has, the first point where it begins above."""
    if accuracy[0] >= target:
        return float(pairs[0])
    for k in range(1, len(pairs)):
        if accuracy[k] >= target:
            low, high = accuracy[k - 1], accuracy[k]
            part = (target - low) / (high - low)
            return float(pairs[k - 1] * (pairs[k] / pairs[k - 1]) ** part)
    return None
