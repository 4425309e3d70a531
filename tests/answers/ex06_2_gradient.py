"""The right answer to lessons/exercises/ex06_2_gradient.py."""

import torch  # noqa: F401  (for the mistakes of tests/mistakes)


def gradient(logits):
    """The table G: N times the gradient of CLIP's loss by each logit, without autograd.

    logits: (N, N), row i is picture i against every caption; the matches are on the diagonal. They may
    be far larger than 88, where the exponential leaves float32. Returns (N, N) in the logits' dtype.
    """
    g = (logits.softmax(1) + logits.softmax(0)) / 2
    g.diagonal().sub_(1)
    return g
