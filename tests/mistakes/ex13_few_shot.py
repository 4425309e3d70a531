"""Wrong answers to lessons/exercises/ex13_few_shot.py."""

import numpy as np


def _draw(labels, pool, k, seed, pick):
    labels, pool, chosen = np.asarray(labels), np.unique(np.asarray(pool, int)), []
    for label in np.unique(labels[pool]):
        own = pool[labels[pool] == label]
        if len(own) < k:
            raise ValueError(f"class {label} has {len(own)}, {k} are asked for")
        chosen += pick(own, np.random.default_rng((seed, int(label))), k).tolist()
    return sorted(chosen)


def draws_from_everything_and_not_the_pool(labels, pool, k, seed):
    return _draw(labels, range(len(labels)), k, seed, lambda own, rng, k: rng.permutation(own)[:k])


def draws_with_replacement(labels, pool, k, seed):
    return _draw(labels, pool, k, seed, lambda own, rng, k: rng.choice(own, k))


def takes_the_first_and_never_draws(labels, pool, k, seed):
    return _draw(labels, pool, k, seed, lambda own, rng, k: own[:k])


def draws_anew_for_every_k(labels, pool, k, seed):
    return _draw(labels, pool, k, 1000 * seed + k, lambda own, rng, k: rng.permutation(own)[:k])


def gives_what_a_small_class_has(labels, pool, k, seed):
    labels, pool, chosen = np.asarray(labels), np.unique(np.asarray(pool, int)), []
    for label in np.unique(labels[pool]):
        own = pool[labels[pool] == label]
        chosen += np.random.default_rng((seed, int(label))).permutation(own)[:k].tolist()
    return sorted(chosen)


def k_in_all_and_not_of_each_class(labels, pool, k, seed):
    classes, counts = np.unique(np.asarray(labels)[list(pool)], return_counts=True)
    if counts.min() < k:
        raise ValueError("too few")
    pool = np.unique(np.asarray(pool, int))
    chosen = np.random.default_rng(seed).permutation(pool)[: k * len(classes)]
    return sorted(chosen.tolist())
