"""Linear probes and few shots: how good are the features for somebody who has labels? (CLIP,
sections 3.1.5 and 3.2, appendix A.3.)

The features stay fixed and a logistic regression is trained on them by L-BFGS with an L2 penalty,
as in the paper. The strength of the penalty is found by the paper's search, which scores each
strength on a validation split. With k labelled pictures of each class this is few-shot learning;
figure 6 asks how many shots a probe needs to be as good as the zero-shot classifier.
Left out: end-to-end fine-tuning, which the paper leaves out of these comparisons too.
Lesson: lessons/14_probes.md.
"""

import warnings

import numpy as np

from miniclip import plots
from miniclip.common import checked, in_words, refuse
from miniclip.evaluation.confidence import share, share_cells

# the search over strengths 10^x (appendix A.3)
PER_DECADE = 8  # strengths per decade at its end, which are 96 between 1e-6 and 1e6
SEARCH_ITERATIONS = 50  # iterations of L-BFGS for each strength, enough to rank strengths


@checked
def fit(features, labels, strength: float, iterations: int = 1000):
    """Fit a linear probe by L-BFGS: scikit-learn's LogisticRegression.

    features: (n, D); labels: (n,) int; strength: lambda in the penalty lambda/2 |W|^2, which is
    added to the sum of the losses (scikit-learn's C is 1 / lambda); iterations: the most that
    L-BFGS may take. Raises UserError when scikit-learn is missing or there are fewer than two
    classes.
    """
    with in_words("probes need scikit-learn: pip install 'miniclip[eval]'", ImportError):
        from sklearn.linear_model import LogisticRegression
        from threadpoolctl import threadpool_limits  # comes with scikit-learn
    labels = np.asarray(labels)
    refuse(
        {
            "a probe needs pictures of at least two classes": len(np.unique(labels)) < 2,
            f"{len(features)} rows of features do not go with {len(labels)} labels": (
                len(features) != len(labels)
            ),
            f"strength must be above 0, and finite, not {strength}": not 0 < strength < np.inf,
        }
    )
    # scikit-learn warns that the paper's limit, 1,000 iterations, is too low for a weak penalty
    # one thread, because starting BLAS threads takes longer than these small products
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        probe = LogisticRegression(C=1 / strength, max_iter=iterations)
        return probe.fit(np.asarray(features), labels)


def search_strength(score) -> float:
    """The paper's search for the penalty: the strength with the highest score(strength).

    It begins with seven strengths, two decades apart. Each further round tries two strengths, one
    below and one above the best so far. Their distance from it is one decade in the first of these
    rounds, and it is halved in each round until it is an eighth of a decade. This takes about 15
    fits instead of 96. Of equally good strengths the largest is taken. Raises UserError for a score
    that is NaN.
    """
    known, exponents, step = {}, (-6, -4, -2, 0, 2, 4, 6), 2.0  # step in decades
    while step >= 1 / PER_DECADE:
        for exponent in exponents:
            strength = float(10.0 ** round(exponent, 6))
            if -6 <= exponent <= 6 and strength not in known:
                known[strength] = score(strength)
                refuse({f"score({strength:g}) is NaN": known[strength] != known[strength]})
        best = max(known, key=lambda s: (known[s], s))
        step /= 2
        exponents = (np.log10(best) - step, np.log10(best) + step)
    return best


def _validated_strength(features, labels, learn, validation):
    """The strength whose probe, fitted on `learn`, is best on `validation` (both are positions)."""
    return search_strength(
        lambda strength: fit(features[learn], labels[learn], strength, SEARCH_ITERATIONS).score(
            features[validation], labels[validation]
        )
    )


@checked
def few_shot(labels, pool, k: int, seed: int):
    """k positions of each class out of `pool`, drawn without replacement: sorted list of int.

    labels: (n,) int, the classes of all pictures; pool: the positions to draw from. The same seed
    gives the same shots, and the shots for k include the shots for any smaller k. Each class is
    drawn independently: the other classes of the pool do not change its shots. Raises ValueError,
    which names the class, when a class of the pool has fewer than k pictures there.
    """
    refuse(
        {
            "pool must be positions; of a mask give np.flatnonzero(mask)": (
                np.asarray(pool).dtype == bool
            ),
            f"pool must be positions from 0 to {len(labels) - 1}": (
                not np.isin(pool, np.arange(len(labels))).all()
            ),
            "k and seed must be at least 0": min(k, seed) < 0,
        }
    )
    labels, pool = np.asarray(labels), np.unique(np.asarray(pool, dtype=int))
    chosen = []
    for label in np.unique(labels[pool]):
        own = pool[labels[pool] == label]
        refuse(
            {
                f"class {label} has {len(own)} pictures to learn from, but {k} are asked for": (
                    len(own) < k
                )
            }
        )
        # one generator per class, so that its shots do not depend on the other classes
        chosen += np.random.default_rng((seed, int(label))).permutation(own)[:k].tolist()
    return sorted(chosen)


@checked
def validation_split(labels, seed: int = 0, one_in: int = 5) -> tuple[list[int], list[int]]:
    """Split 0..n-1 in two, class by class: (positions to learn from, positions to validate on).

    One picture in `one_in` of each class, and at least one, goes to validation. A class with only
    one picture has none there.
    """
    refuse({"seed must be at least 0, and one_in at least 1": seed < 0 or one_in < 1})
    labels, validation = np.asarray(labels), []
    for label in np.unique(labels):
        own = np.random.default_rng((seed, int(label))).permutation(np.flatnonzero(labels == label))
        cut = max(1, len(own) // one_in) if len(own) > 1 else 0
        validation += own[:cut].tolist()
    return np.setdiff1d(np.arange(len(labels)), validation).tolist(), sorted(validation)


def full_probe(features, labels):
    """The probe of section 3.2: the strength is chosen on a validation split, then the probe is
    fitted to all pictures. Returns (probe, strength)."""
    features, labels = np.asarray(features), np.asarray(labels)
    learn, validation = validation_split(labels)  # validation: empty if each class has one picture
    strength = _validated_strength(features, labels, learn, validation or learn)
    return fit(features, labels, strength), strength


@checked
def shots_curve(features, labels, tests, shots=(1, 2, 4, 8, 16), seeds: int = 5):
    """The accuracy of probes on k pictures of each class, one probe for each seed: {k: {name of the
    test: [accuracy for each seed]}}.

    features (n, D), labels (n,): the pictures to draw shots from; tests: {name: (features,
    labels)}. The strength is chosen once for each k, and then used with all seeds. The probes of
    this choice learn from the shots of the first seed and are scored on all other pictures. If
    there are no other pictures, they are scored on the shots themselves.
    """
    refuse({f"seeds must be at least 1, not {seeds}": seeds < 1})
    features, labels = np.asarray(features), np.asarray(labels)
    pool, result = np.arange(len(labels)), {}
    for k in shots:
        draws = [few_shot(labels, pool, k, seed) for seed in range(seeds)]
        rest = np.setdiff1d(pool, draws[0])
        strength = _validated_strength(features, labels, draws[0], rest if len(rest) else draws[0])
        probes = [fit(features[drawn], labels[drawn], strength) for drawn in draws]
        result[k] = {
            name: [float(probe.score(np.asarray(x), np.asarray(y))) for probe in probes]
            for name, (x, y) in tests.items()
        }
    return result


def reached(pairs, accuracy, target):
    """After how many pairs a curve first reaches the accuracy `target`: float, or None if it never
    does. Between two points the curve is a straight line over the logarithm of pairs. A curve that
    begins above the target reaches it at its first point. Raises UserError unless there are points,
    at numbers of pairs that grow and are above 0."""
    refuse(
        {
            "a curve needs points, at numbers above 0": not len(pairs) or min(pairs) <= 0,
            "a curve needs one accuracy for each number of pairs, and these must grow": (
                len(pairs) != len(accuracy) or (np.diff(np.asarray(pairs, float)) <= 0).any()
            ),
        }
    )
    if accuracy[0] >= target:
        return float(pairs[0])
    for k in range(1, len(pairs)):
        if accuracy[k] >= target:
            low, high = accuracy[k - 1], accuracy[k]
            part = (target - low) / (high - low)
            return float(pairs[k - 1] * (pairs[k] / pairs[k - 1]) ** part)
    return None


def shots_worth(curve, zero_shot):
    """How many shots per class are as good as zero-shot (figure 7), interpolated along log k.

    curve: {k: mean accuracy}. If the curve crosses zero-shot several times, the first crossing
    counts. If the smallest k is already enough, the result is this k. The result is None if no k is
    enough.
    """
    shots = sorted(curve)
    return reached(shots, [curve[k] for k in shots], zero_shot)


def draw_shots(curves, zero_shot, path):
    """Figure 6: curves {features: {k: [accuracy per seed]}}, zero_shot {k: confidence.share}. Each
    k is a number of labels, or "all"; all curves have the same k."""
    x = range(len(zero_shot))  # the numbers of labels double, so this is a logarithmic axis
    drawn = {"zero-shot, no label": plots.band(x, zero_shot.values())} | {
        name: (x, *([f(own) for own in curve.values()] for f in (np.mean, min, max)))
        for name, curve in curves.items()
    }
    how = dict(
        xticks=x,
        xticklabels=[*zero_shot],
        ylim=(0, 1),
        xlabel="labelled pictures per class",
        ylabel="accuracy",
    )
    plots.lines([(drawn, how)], path, dashed=["zero-shot, no label"])


def write(context) -> dict:
    """The section: probes against zero-shot, by the number of labelled pictures. Raises UserError
    if there are too few labelled pictures."""
    report, names = context.report, context.labelled.class_names
    classes, shots = context.classes_and_shots
    report.section("Linear probes and few shots", "sections 3.1.5 and 3.2; figures 6 and 7")
    if left := [name for c, name in enumerate(names) if c not in classes]:
        report.say(
            f"Classes with fewer than {shots[-1]} pictures to learn from are left out: "
            f"{', '.join(left)}."
        )
    zero_shot, probes = context.zero_shot["home"], context.probes
    n = zero_shot["n"]
    rows, curves, results = [("zero-shot, ensemble", *share_cells(zero_shot), n)], {}, {}
    for name, probe in probes.items():
        curve = curves[name] = {k: tests["home"] for k, tests in probe["curve"].items()}
        mean = {k: float(np.mean(accuracies)) for k, accuracies in curve.items()}
        for k, own in curve.items():
            rows.append((f"{name}, {k} shots", mean[k], f"{min(own):.2f} to {max(own):.2f}", n))
        full = share(round(probe["full"]["home"] * n), n)
        rows.append((f"{name}, all pictures", *share_cells(full), n))
        results[name] = probe | {"mean": mean}
    report.table(("", "accuracy", f"range of {context.seeds} seeds, or [95 %]", "n"), rows)
    worth = shots_worth(results["this model"]["mean"], zero_shot["value"])
    least = "more than were tried" if worth is None else f"about {worth:.1f} per class"
    report.figure(
        "shots.png",
        f"Where the line of this model crosses the dashed one, the probe is as good as zero-shot. "
        f"Labelled pictures that this takes: {least} (figure 7; the paper's median is 5.4). The "
        "other two lines are baselines without any training on pairs.",
        draw_shots,
        curves,
        dict.fromkeys(shots, zero_shot),
    )
    return {"zero_shot": zero_shot, "shots_worth": worth, "probes": results}
