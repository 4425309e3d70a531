"""Linear probes and few shots: what features are worth to somebody who has labels (CLIP, sections
3.1.5 and 3.2).

The features stay as they are and a logistic regression learns on them, with L-BFGS and an L2 penalty
as in the paper; how strong, a validation split decides by the paper's search over powers of ten. With
k labelled pictures a class this is few-shot learning, and the question of figure 6 is how many shots
a probe needs until it is as good as the classifier that the text encoder wrote for nothing.
Left out: end-to-end fine-tuning, which the paper leaves out of these comparisons too.
"""

import warnings

import numpy as np
import torch

from miniclip.common import UserError

STRENGTHS = [10.0**k for k in (-6, -4, -2, 0, 2, 4, 6)]  # where the search begins (appendix A.3)
LOOK = 50  # iterations of L-BFGS while searching: enough to rank strengths
PER_DECADE = 8  # and how finely it ends: 96 strengths between 1e-6 and 1e6


def _numpy(x):
    return x.numpy() if isinstance(x, torch.Tensor) else np.asarray(x)


def fit(features, labels, strength, iterations=1000):
    """The probe: scikit-learn's LogisticRegression, fitted by L-BFGS with at most that many iterations.

    features: (n, D); labels: (n,) int; strength: lambda of the penalty lambda/2 |W|^2 on the sum of
    the losses (scikit-learn's C is its inverse). Raises UserError when scikit-learn is missing or
    there are fewer than two classes.
    """
    try:
        from sklearn.linear_model import LogisticRegression
        from threadpoolctl import threadpool_limits  # comes with scikit-learn
    except ImportError:
        raise UserError("probes need scikit-learn: pip install 'miniclip[eval]'") from None
    labels = _numpy(labels)
    if len(np.unique(labels)) < 2:
        raise UserError("a probe needs pictures of at least two classes")
    # a weak penalty does not converge in the paper's 1,000 iterations either; and threads of BLAS
    # cost more than they bring for matrices as small as these
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        probe = LogisticRegression(C=1 / strength, max_iter=iterations)
        return probe.fit(_numpy(features), labels)


def search_strength(score):
    """The paper's search for the penalty: the strength with the highest score(strength).

    Seven powers of ten first; then the neighbours of the best, at half the distance each time, until
    there are 8 strengths a decade. About 15 fits instead of 96. Of equal ones the strongest is taken.
    """
    known = {s: score(s) for s in STRENGTHS}

    def best():
        return max(known, key=lambda s: (known[s], s))

    step = 2.0  # decades
    while step > 1 / PER_DECADE:
        step /= 2
        exponent = np.log10(best())
        for near in (exponent - step, exponent + step):
            if -6 <= near <= 6:
                strength = float(10.0 ** round(near, 6))
                if strength not in known:
                    known[strength] = score(strength)
    return best()


def few_shot(labels, pool, k, seed):
    """k positions of each class out of `pool`, drawn without replacement: sorted list of int.

    labels: (n,) int, the classes of everything; pool: the positions one may learn from, and no other
    is ever returned. The same seed gives the same shots, and those for k hold those for fewer.
    Raises ValueError, naming it, when a class of the pool has fewer than k pictures there.
    """
    labels, pool = _numpy(labels), np.unique(np.asarray(pool, dtype=int))
    chosen = []
    for label in np.unique(labels[pool]):
        own = pool[labels[pool] == label]
        if len(own) < k:
            raise ValueError(
                f"class {label} has {len(own)} pictures to learn from, {k} are asked for"
            )
        # a generator of the class's own: other classes' sizes must not change its shots
        chosen += np.random.default_rng((seed, int(label))).permutation(own)[:k].tolist()
    return sorted(chosen)


def validation_split(labels, seed=0, one_in=5):
    """Split 0..n-1 in two, class by class: (positions to learn from, positions to choose with).

    About one in `one_in` of each class that has two pictures or more goes to the second.
    """
    labels, learn, choose = _numpy(labels), [], []
    for label in np.unique(labels):
        own = np.random.default_rng((seed, int(label))).permutation(np.flatnonzero(labels == label))
        cut = max(1, len(own) // one_in) if len(own) > 1 else 0
        choose += own[:cut].tolist()
        learn += own[cut:].tolist()
    return sorted(learn), sorted(choose)


def full_probe(features, labels):
    """The probe of section 3.2: strength chosen on a validation split, then fitted on everything.

    Returns (probe, strength).
    """
    features, labels = _numpy(features), _numpy(labels)
    learn, choose = validation_split(labels)

    def score(strength):
        tried = fit(features[learn], labels[learn], strength, LOOK)
        return tried.score(features[choose], labels[choose])

    strength = search_strength(score)
    return fit(features, labels, strength), strength


def shots_curve(features, labels, tests, shots=(1, 2, 4, 8, 16), seeds=5):
    """Few-shot probes: {k: {test's name: [accuracy for each seed]}}, on several test sets at once.

    features (n, D), labels (n,): what may be learned from; tests: {name: (features, labels)}. What is
    not drawn as a shot chooses the strength, for the first seed; the others take it over.
    """
    features, labels = _numpy(features), _numpy(labels)
    pool, result = np.arange(len(labels)), {}
    for k in shots:
        result[k] = {name: [] for name in tests}
        strength = None
        for seed in range(seeds):
            drawn = few_shot(labels, pool, k, seed)
            if strength is None:
                rest = np.setdiff1d(pool, drawn)
                rest = rest if len(rest) else drawn
                strength = search_strength(
                    lambda s: fit(features[drawn], labels[drawn], s, LOOK).score(
                        features[rest], labels[rest]
                    )
                )
            probe = fit(features[drawn], labels[drawn], strength)
            for name, (x, y) in tests.items():
                result[k][name].append(float(probe.score(_numpy(x), _numpy(y))))
    return result


def shots_worth(curve, zero_shot):
    """How many shots a class equal zero-shot (figure 7), interpolated along log k: float, or None
    where no number tried is enough. curve: {k: mean accuracy}."""
    shots = sorted(curve)
    if curve[shots[0]] >= zero_shot:
        return float(shots[0])
    for a, b in zip(shots, shots[1:]):
        if curve[b] >= zero_shot:
            way = (zero_shot - curve[a]) / (curve[b] - curve[a])
            return float(a * (b / a) ** way)
    return None
