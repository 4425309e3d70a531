"""14  Draw the shots.  Read lessons/14_probes.md, then make this file green.

NumPy's np.random.default_rng takes a whole number as its seed, or several of them in a list or tuple.
"""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

ANSWER = "miniclip.evaluation.linear_probe:few_shot"


def few_shot(labels, pool, k: int, seed: int):
    """k positions of each class out of `pool`, drawn without replacement: sorted list of int.

    labels: (n,) int, the classes of all pictures; pool: the positions to draw from. The same seed
    gives the same shots, and the shots for k include the shots for any smaller k. Each class is
    drawn independently: the other classes of the pool do not change its shots. Raises ValueError,
    which names the class, when a class of the pool has fewer than k pictures there.
    """
    raise NotImplementedError  # about 8 lines


some_labels = st.lists(st.integers(0, 3), min_size=8, max_size=60).map(np.array)


@st.composite
def tasks(draw):
    """(labels, pool, k) where each class of the pool has k pictures there, or more."""
    labels, k = draw(some_labels), draw(st.integers(1, 3))
    pool = draw(st.lists(st.integers(0, len(labels) - 1), min_size=1, unique=True))
    counts = np.bincount(labels[pool], minlength=4)
    assume((counts[counts > 0] >= k).all())
    return labels, pool, k


@given(tasks(), st.integers(0, 9))
def test_none_from_outside_the_pool(task, seed):
    labels, pool, k = task
    outside = set(few_shot(labels, pool, k, seed)) - set(pool)
    assert not outside, f"{outside} are not in the pool: they may be test pictures"


@given(tasks(), st.integers(0, 9))
def test_k_of_each_class_and_none_twice(task, seed):
    labels, pool, k = task
    shots = few_shot(labels, pool, k, seed)
    assert len(set(shots)) == len(shots), f"one picture was drawn twice: {shots}"
    there, found = (np.bincount(labels[some], minlength=4) for some in (pool, shots))
    assert (found == k * (there > 0)).all(), f"k = {k}, but the classes got {found} pictures"


@given(tasks(), st.integers(0, 9))
def test_the_positions_are_sorted(task, seed):
    shots = few_shot(*task, seed)
    assert list(shots) == sorted(shots), f"the positions are not sorted: {shots}"


def test_a_class_with_too_few_pictures_is_refused_by_its_name():
    labels = np.array([5] * 4 + [7] * 2 + [5, 7, 7])  # in the pool, class 7 has two pictures
    with pytest.raises(ValueError) as error:
        shots = few_shot(labels, range(6), 3, 0)
        pytest.fail(f"class 7 has 2 pictures in the pool, 3 are asked for; you returned {shots}")
    assert "7" in str(error.value), f"the message does not name class 7: {error.value}"


def test_a_seed_fixes_the_draw_and_other_seeds_draw_others():
    labels = np.arange(200) % 4
    draws = [tuple(few_shot(labels, range(200), 4, seed)) for seed in range(6)]
    again = [tuple(few_shot(labels, range(200), 4, seed)) for seed in range(6)]
    assert draws == again, "the same seed gave other shots the second time"
    assert len(set(draws)) == 6, f"six seeds gave only {len(set(draws))} different draws"


def test_the_order_of_the_pool_changes_nothing():
    labels = np.arange(60) % 3
    forwards = few_shot(labels, range(60), 2, 1)
    backwards = few_shot(labels, range(59, -1, -1), 2, 1)
    assert forwards == backwards, "the same pool in another order gave other shots"


def test_more_shots_include_fewer():
    labels = np.arange(120) % 4
    draws = [set(few_shot(labels, range(120), k, 3)) for k in (1, 2, 4, 8)]
    for fewer, more in zip(draws, draws[1:]):
        assert fewer < more, f"of the {len(fewer)} shots, {fewer - more} are not among {len(more)}"


def test_another_class_in_the_pool_does_not_change_the_shots_of_a_class():
    labels = np.arange(120) % 4
    everything = few_shot(labels, range(120), 3, 1)
    for left_out in range(4):
        without = few_shot(labels, np.flatnonzero(labels != left_out), 3, 1)
        want = [i for i in everything if labels[i] != left_out]
        assert without == want, f"without class {left_out} the other classes got other shots"


def test_how_the_other_pictures_are_classed_does_not_change_the_shots_of_a_class():
    labels = np.arange(120) % 4
    merged = np.where(labels == 3, 3, 0)  # of the others one class is left
    for seed in range(5):
        draws = [few_shot(x, range(120), 3, seed) for x in (labels, merged)]
        one, other = ([i for i in draw if labels[i] == 3] for draw in draws)
        assert one == other, f"class 3 is the same, the others became one: {one} and {other}"


def drawn_places(seeds):
    """For each seed, which places of each class were drawn: pictures 2 j and 2 j + 1 are the j-th of
    their classes."""
    labels = np.arange(80) % 2
    places = [{0: [], 1: []} for _ in range(seeds)]
    for seed, place in enumerate(places):
        for i in few_shot(labels, range(80), 4, seed):
            place[int(labels[i])].append(i // 2)
    return places


def test_two_classes_do_not_draw_alike():
    places = drawn_places(5)
    alike = sum(place[0] == place[1] for place in places)
    assert alike < 5, "with every seed both classes drew the same places: they share a draw"


def test_a_class_does_not_draw_with_the_next_seed_what_the_next_class_drew():
    places = drawn_places(6)
    alike = sum(place[1] == after[0] for place, after in zip(places, places[1:]))
    alike_backwards = sum(place[0] == after[1] for place, after in zip(places, places[1:]))
    assert max(alike, alike_backwards) < 5, (
        "each class drew with a seed the places that the other one drew with the seed before: the "
        "seed and the class must not be added up"
    )


def test_every_picture_can_be_drawn():
    labels = np.zeros(12, int)
    drawn = {few_shot(labels, range(12), 1, seed)[0] for seed in range(300)}
    assert drawn == set(range(12)), f"in 300 seeds {set(range(12)) - drawn} never were drawn"


# Shown when all laws are green: what the library does differently.


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_none_from_outside_the_pool": (
        "From which positions do you choose?",
        "The pool says which pictures may be drawn. The others may be test pictures, whatever their class "
        "(section 'Drawing the shots').",
        "pool = np.unique(pool), and then for each class: own = pool[labels[pool] == label].",
    ),
    "test_k_of_each_class_and_none_twice": (
        "How many pictures does each class get, and are they different ones?",
        "k is a number for each class, not for all together. Drawing without replacement never gives a "
        "picture twice: a permutation does that, a choice with replacement does not.",
        "For each class, take generator.permutation(own)[:k].",
    ),
    "test_the_positions_are_sorted": (
        "In which order do you return the positions?",
        "The docstring asks for one sorted list of whole numbers, of all classes together.",
        "Collect the shots of all classes in a list, and return sorted(that list).",
    ),
    "test_a_class_with_too_few_pictures_is_refused_by_its_name": (
        "What does a slice [:k] give when there are fewer than k?",
        "It gives what there is, and says nothing. The function should raise a ValueError instead, whose "
        "message says which class it is.",
        'if len(own) < k: raise ValueError(f"class {label} has {len(own)} pictures, {k} are asked for")',
    ),
    "test_a_seed_fixes_the_draw_and_other_seeds_draw_others": (
        "What in your function is random, and what decides it?",
        "The first k pictures of a class are no draw, and a generator without a seed draws anew each time.",
        "np.random.default_rng(something that contains the seed).permutation(own)",
    ),
    "test_the_order_of_the_pool_changes_nothing": (
        "What does a permutation of the same pictures in another order give?",
        "A generator permutes places, not pictures. So the pool needs an order of its own before you draw.",
        "np.unique(np.asarray(pool, dtype=int)) is sorted, and has each position once.",
    ),
    "test_more_shots_include_fewer": (
        "Does anything in your draw depend on k?",
        "If every k has a draw of its own, the 4 shots do not contain the 2. Draw one order of the class, and "
        "let k only say how much of it you take.",
        "permutation(own)[:k], from a generator that does not know k.",
    ),
    "test_another_class_in_the_pool_does_not_change_the_shots_of_a_class": (
        "If one class less draws from your generator, what does the next class get?",
        "Each class needs a generator of its own, which depends on the class itself and not on its place "
        "among the classes of the pool.",
        "np.random.default_rng((seed, int(label))), made anew for each class.",
    ),
    "test_how_the_other_pictures_are_classed_does_not_change_the_shots_of_a_class": (
        "Which pictures of other classes have a part in the draw of this class?",
        "None should. Permute only the class's own pictures, with a generator that nobody else uses.",
        "np.random.default_rng((seed, int(label))).permutation(own), for each class by itself.",
    ),
    "test_two_classes_do_not_draw_alike": (
        "Two classes of the same size: do they draw the same places?",
        "They do if their generators have the same seed. So the class must be a part of the seed.",
        "The seed of a generator can be a tuple of whole numbers: (seed, int(label)).",
    ),
    "test_a_class_does_not_draw_with_the_next_seed_what_the_next_class_drew": (
        "For which other seed and class does your generator begin in the same way?",
        "In a sum, class 1 with seed 0 is the same as class 0 with seed 1.",
        "Give NumPy both numbers, as a tuple (seed, int(label)), not their sum.",
    ),
    "test_every_picture_can_be_drawn": (
        "Is there a picture that your draw can never reach?",
        "Every picture of the class in the pool can be among the first of a permutation. Look at the ends of "
        "your ranges.",
        "permutation(own)[:k], where own holds all pictures of the class.",
    ),
}
DIFFERS = (
    "The library sorts the pool and removes what is in it twice, in one call of np.unique. Its generator "
    "takes the pair of seed and class, which NumPy mixes well, so neighbouring pairs have nothing in common."
)
