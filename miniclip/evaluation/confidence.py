"""Accuracy and its interval (Wilson 1927; Clopper and Pearson 1934; CLIP, section 5).

An accuracy of 44 % on 103 pictures is an estimate from a sample. Two kinds of interval say how sure
it is. Wilson's interval is usually the shorter one. Its real coverage is close to the stated one on
average, and lower for some accuracies. The report gives this interval beside every accuracy. The
interval of Clopper and Pearson is exact: it covers every true accuracy at least as often as it
states, so it is usually wider. The paper uses it for small overlaps, and so does data_overlap.py.
Because scipy is not a dependency, the exact interval is computed here from a binomial tail and a
bisection.
Two classifiers on the same pictures are compared by McNemar's exact test (McNemar 1947). It only
looks at the pictures on which exactly one of the two is right.
Left out: intervals for the difference of two classifiers on the same pictures.
Lesson: lessons/13_zeroshot.md.
Lesson: lessons/16_overlap.md.
"""

import math
from statistics import NormalDist

import numpy as np
import torch

from miniclip.common import checked, refuse, refusing

MOST = 10**6  # trials of an exact binomial sum; the bounds of so many take seconds


@checked
def _check(right: float, n: float, confidence: float):
    refuse(
        {
            f"{right} right of {n} is no share: need whole numbers, 0 <= right <= n and n >= 1": (
                n < 1 or not 0 <= right <= n or right % 1 or n % 1
            ),
            f"confidence must be above 0 and below 1, not {confidence}": (
                not 0 < confidence <= (1 + confidence) / 2 < 1
            ),
        }
    )


@checked
def wilson(right: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's interval (low, high): all p with |right / n - p| <= z sqrt(p (1 - p) / n).

    right, n: whole numbers; z: the normal quantile of (1 + confidence) / 2. Raises ValueError
    unless 0 <= right <= n, n >= 1 and 0 < confidence < 1.
    """
    _check(right, n, confidence)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = right / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


@checked
def binomial_tail(right: int, n: int, p: float) -> float:
    """P(X >= right) for X binomial (n, p): the p-value of the one-sided test. Raises UserError
    unless 0 <= p <= 1 and n is at most MOST, and for other numbers than whole ones."""
    refuse(
        {
            f"p must be from 0 to 1, not {p}": not 0 <= p <= 1,
            f"n must be at most {MOST:,}, because the sum has a term for each count": n > MOST,
        }
    )
    if not (0 < right <= n and 0 < p < 1):  # certain or impossible
        return float(right <= 0 or (p >= 1 and right <= n))
    k = np.arange(right, n + 1)
    # sums of logarithms, because 171! is beyond a float64
    factorial = np.concatenate([[0.0], np.log(np.arange(1, n + 1)).cumsum()])
    logs = (
        factorial[n] - factorial[k] - factorial[n - k] + k * math.log(p) + (n - k) * math.log1p(-p)
    )
    return min(1.0, float(np.exp(logs).sum()))


def mcnemar(first, second):
    """McNemar's exact test of two classifiers on the same pictures: {'only_first', 'only_second',
    'p_value'}. 'only_first' counts the pictures that only the first classifier has right, and
    'only_second' those that only the second has right. The p-value is two-sided.

    first, second: (n,) bool, which answers are right. Pictures on which both are right, or both wrong,
    say nothing about the difference. On each of the other pictures exactly one classifier is
    right. If neither classifier is better, each is expected to be right on half of these pictures.
    Raises ValueError if the two lengths differ, or for other answers than True and False.
    """
    first, second = np.asarray(first), np.asarray(second)
    refuse(
        {
            f"{first.size} answers of one classifier and {second.size} of the other cannot be "
            "about the same pictures; give two lists": (
                not first.shape == second.shape == (first.size,)
            ),
            "an answer is True if it is right and else False, and not the class that was predicted": (
                not np.isin(np.append(first, second), (0, 1)).all()
            ),
        }
    )
    b, c = int((first > second).sum()), int((second > first).sum())
    p_value = min(1.0, 2 * binomial_tail(max(b, c), b + c, 0.5))
    return {"only_first": b, "only_second": c, "p_value": p_value}


def clopper_pearson(right, n, confidence=0.95):
    """(low, high), the exact interval around right / n: it covers the true share with a probability
    of at least `confidence`.

    If the true share were `low`, a count of `right` or more would have probability
    (1 - confidence) / 2. If the true share were `high`, a count of `right` or less would have this
    probability. Raises ValueError unless 0 <= right <= n and n >= 1.
    """
    _check(right, n, confidence)
    alpha = (1 - confidence) / 2

    def solve(tail):  # tail grows with p: bisect for tail(p) = 0
        low, high = 0.0, 1.0
        for _ in range(50):
            middle = (low + high) / 2
            low, high = (middle, high) if tail(middle) < 0 else (low, middle)
        return (low + high) / 2

    low = 0.0 if right == 0 else solve(lambda p: binomial_tail(right, n, p) - alpha)
    high = 1.0 if right == n else solve(lambda p: alpha - 1 + binomial_tail(right + 1, n, p))
    return low, high


@checked
def share(right: float, n: float, confidence: float = 0.95) -> dict:
    """right / n with Wilson's interval: {'value', 'n', 'low', 'high'}."""
    low, high = wilson(right, n, confidence)
    return {"value": right / n, "n": int(n), "low": low, "high": high}


@checked
def scores(similarity: torch.Tensor, labels, k: int = 5) -> dict:
    """Accuracies: {'accuracy', 'balanced_accuracy', 'n', 'low', 'high', 'top5'}.

    similarity: (n, classes); labels: (n,) int64. accuracy: the share of rows whose class is better
    than all others; low, high: its 95 % interval (Wilson). balanced_accuracy: the mean of the
    accuracies of the classes that occur. top5: the share of rows whose class is among the k = 5
    best. A class is among the k best when fewer than k other classes are as good or better, so
    equal similarities count against the model. Raises UserError if there are no rows, if a
    similarity is NaN, or if a row has no label that is one of the classes.
    """
    with refusing("labels must be numbers of classes"):
        labels = torch.as_tensor(labels, device=similarity.device)
    refuse(
        {
            "no labelled pictures to classify": labels.numel() == 0,
            "similarity must be (n, classes), labels whole numbers, and k at least 1": (
                similarity.ndim != 2
                or similarity.is_complex()
                or similarity.dtype == torch.bool
                or labels.is_floating_point()
                or k < 1
            ),
            "the similarities are NaN: this model has diverged": bool(similarity.isnan().any()),
            f"each of {len(similarity)} rows needs a label from 0 to {similarity.shape[-1] - 1}": (
                labels.shape != similarity.shape[:1]
                or bool(((labels < 0) | (labels >= similarity.shape[-1])).any())
            ),
        }
    )
    others = (similarity >= similarity.gather(1, labels.long()[:, None])).sum(1) - 1
    right = (others < 1).double()
    per_class = [right[labels == c].mean().item() for c in labels.unique()]
    found = share(int(right.sum()), len(labels))
    return {
        "accuracy": found.pop("value"),
        "balanced_accuracy": sum(per_class) / len(per_class),
        **found,
        f"top{k}": (others < k).double().mean().item(),
    }


def interval(low: float, high: float) -> str:
    """An interval as tables show it: '[0.35, 0.54]'."""
    return f"[{low:.2f}, {high:.2f}]"


def share_cells(s: dict) -> tuple:
    """A share as two cells of a table: its value and its interval."""
    return s["value"], interval(s["low"], s["high"])
