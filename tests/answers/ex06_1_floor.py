"""The right answer to lessons/exercises/ex06_1_floor.py."""

import math


def lowest_loss(captions):
    """The lowest loss that any model can reach on a batch, whatever its features and its scale.

    captions: a list of N captions, of N different pictures; the same caption may occur several times,
    and has the same feature then. The loss counts everything off the diagonal as wrong. -> a float
    """
    copies = [captions.count(caption) for caption in captions]
    return sum(math.log(n) for n in copies) / len(captions)
