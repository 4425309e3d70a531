"""Where a curve first reaches an accuracy, on a logarithmic axis (CLIP, figures 2 and 7).

The race of objectives asks it of pairs, the probes of labelled pictures a class. Left out: what lies
beyond the points.
Lesson: lessons/18_objectives.md.
"""


def reached(pairs, accuracy, target):
    """After how many pairs a curve first reaches the accuracy `target`: float, or None where it never
    does. Between two points the curve is a straight line over the logarithm of pairs. A curve that
    begins above the target reaches it at its first point."""
    if accuracy[0] >= target:
        return float(pairs[0])
    for k in range(1, len(pairs)):
        if accuracy[k] >= target:
            low, high = accuracy[k - 1], accuracy[k]
            part = (target - low) / (high - low)
            return float(pairs[k - 1] * (pairs[k] / pairs[k - 1]) ** part)
    return None
