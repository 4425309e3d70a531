"""Wrong answers to lessons/exercises/ex15_1_few_shot.py."""

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


def one_generator_shared_by_all_classes(labels, pool, k, seed):
    shared = np.random.default_rng(seed)
    return _draw(labels, pool, k, seed, lambda own, rng, k: shared.permutation(own)[:k])


def each_class_draws_with_the_same_generator(labels, pool, k, seed):
    def pick(own, rng, k):
        return np.random.default_rng(seed).permutation(own)[:k]

    return _draw(labels, pool, k, seed, pick)


def generators_numbered_by_place_and_not_by_class(labels, pool, k, seed):
    places = iter(range(len(labels)))

    def pick(own, rng, k):
        return np.random.default_rng((seed, next(places))).permutation(own)[:k]

    return _draw(labels, pool, k, seed, pick)


def one_generator_shared_by_the_classes_of_all_pictures(labels, pool, k, seed):
    shared, labels = np.random.default_rng(seed), np.asarray(labels)
    order = {c: shared.permutation(np.flatnonzero(labels == c)) for c in np.unique(labels)}

    def pick(own, rng, k):
        mixed = order[labels[own[0]]]
        return mixed[np.isin(mixed, own)][:k]

    return _draw(labels, pool, k, seed, pick)


def refuses_without_naming_the_class(labels, pool, k, seed):
    try:
        return _draw(labels, pool, k, seed, lambda own, rng, k: rng.permutation(own)[:k])
    except ValueError:
        raise ValueError("too few pictures") from None


def depends_on_the_order_of_the_pool(labels, pool, k, seed):
    labels, chosen = np.asarray(labels), []
    for label in np.unique(labels[list(pool)]):
        own = [i for i in pool if labels[i] == label]
        if len(own) < k:
            raise ValueError(f"class {label} has {len(own)}, {k} are asked for")
        chosen += np.random.default_rng((seed, int(label))).permutation(own)[:k].tolist()
    return sorted(chosen)


def adds_the_class_to_the_seed(labels, pool, k, seed):
    labels, pool, chosen = np.asarray(labels), np.unique(np.asarray(pool, int)), []
    for label in np.unique(labels[pool]):
        own = pool[labels[pool] == label]
        if len(own) < k:
            raise ValueError(f"class {label} has {len(own)}, {k} are asked for")
        chosen += np.random.default_rng(seed + int(label)).permutation(own)[:k].tolist()
    return sorted(chosen)
