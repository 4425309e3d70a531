"""18  How sure is a difference?  Read lessons/18_objectives.md, then make this file green.

Two objectives were trained with the same seeds and tested on the same pictures. With other seeds, or on
other pictures, the difference of their accuracies would be another one. The bootstrap imitates both: it
draws seeds and pictures, with repetition, from those that there are, and takes the difference of each sample.
The middle 95 % of these differences are the interval: its ends are their quantiles .025 and .975. `rng` is a
numpy Generator: rng.integers(n, size=k) gives k numbers from 0 to n - 1.
"""

import numpy as np
import pytest

ANSWER = "tests.answers.ex18_2_difference:difference"


def difference(a, b, draws, rng):
    """How much better a is than b, with its 95 % interval: (value, low, high), by a bootstrap over
    seeds and pictures.

    a, b: (seeds, pictures) of 0 and 1, which answers of two objectives are right. Row k of both
    comes from the same seed, and column i is the same picture.
    """
    raise NotImplementedError  # about 9 lines


def answers(seeds, pictures, share, seed=0):
    """Random answers of which about `share` are right."""
    return (np.random.default_rng(seed).random((seeds, pictures)) < share).astype(int)


def found(a, b, draws=2_000, seed=1):
    return difference(a, b, draws, np.random.default_rng(seed))


def test_the_value_is_the_mean_of_a_less_the_mean_of_b():
    a, b = answers(3, 50, 0.7), answers(3, 50, 0.4, seed=2)
    value, low, high = found(a, b, 100)
    want = a.mean() - b.mean()
    assert value == pytest.approx(want, abs=1e-12), f"{a.mean():.4f} - {b.mean():.4f}, not {value}"
    assert low < value < high, f"the interval [{low:.3f}, {high:.3f}] does not hold {value:.3f}"


def test_equal_answers_differ_by_nothing_in_every_sample():
    a = answers(3, 50, 0.5)
    _, low, high = found(a, a.copy(), 200)
    assert low == high == 0, (
        f"a and b are equal on every picture, and the interval is [{low}, {high}]"
    )


def test_pictures_are_drawn():
    a = answers(1, 400, 0.3)
    _, low, high = found(a, np.zeros_like(a))
    want = 2 * 1.96 * a.std() / 20
    assert high - low == pytest.approx(want, rel=0.08), (
        f"{a.mean():.3f} of 400 pictures, one seed: the 95 % interval is about {want:.4f} wide, and "
        f"yours is {high - low:.4f}"
    )


def test_seeds_are_drawn():
    a = np.repeat([[0], [0], [1], [1]], 30, axis=1)
    _, low, high = found(a, np.zeros_like(a))
    assert low == 0 and high == 1, (
        "two seeds of four are right everywhere, two nowhere. A sample of four seeds has only the former or "
        f"only the latter in 1 of 16 cases each, so the interval is [0, 1], not [{low:.3f}, {high:.3f}]"
    )


def test_a_picture_is_drawn_for_all_seeds_together():
    a = np.repeat(answers(1, 400, 0.3), 9, axis=0)
    _, low, high = found(a, np.zeros_like(a))
    want = 2 * 1.96 * a.std() / 20
    assert high - low == pytest.approx(want, rel=0.08), (
        "nine seeds with the same answers know no more than one: the interval is about "
        f"{want:.4f} wide, and yours is {high - low:.4f}"
    )


def test_only_the_given_generator_draws():
    a, b = answers(3, 50, 0.7), answers(3, 50, 0.4, seed=2)
    first, second = found(a, b, 100), found(a, b, 100)
    assert first == second, f"two generators with the same seed gave {first} and {second}"


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_the_value_is_the_mean_of_a_less_the_mean_of_b": (
        "Is your first number computed from all answers, or from a sample of them?",
        "The samples are for the interval only. The value is the difference of the two accuracies, a's first.",
        "np.mean(a) - np.mean(b), outside of the loop",
    ),
    "test_equal_answers_differ_by_nothing_in_every_sample": (
        "If a and b have the same answers, what is their difference on any sample of pictures?",
        "Both must be measured on the same sample. If each gets a sample of its own, the difference varies although "
        "the two are equal.",
        "gain = np.asarray(a, float) - b first, and then draw from gain",
    ),
    "test_pictures_are_drawn": (
        "With one seed only, what can vary? And how many pictures does a sample have?",
        "A sample has as many pictures as there are, drawn with repetition. 95 % of the differences lie between the "
        "quantiles .025 and .975.",
        "columns = rng.integers(pictures, size=pictures), and np.quantile(found, (0.025, 0.975)) at the end",
    ),
    "test_seeds_are_drawn": (
        "If two seeds of four gain everything and two gain nothing, how sure is the mean?",
        "Seeds are drawn as pictures are: as many as there are, with repetition.",
        "rows = rng.integers(seeds, size=seeds)",
    ),
    "test_a_picture_is_drawn_for_all_seeds_together": (
        "Nine seeds with the same answers: do they tell more than one seed?",
        "A picture that is hard is hard for all seeds. So draw rows and columns of the table, and not its cells one by "
        "one.",
        "gain[np.ix_(rows, columns)].mean()",
    ),
    "test_only_the_given_generator_draws": (
        "Run your function twice with generators of the same seed. Where does the difference come from?",
        "All random numbers must come from `rng`, so that a result can be repeated.",
        "rng.integers(...), and no np.random and no other generator",
    ),
}
DIFFERS = (
    "The study's own function takes the difference of the answers first, too. It draws from a generator with a fixed "
    "seed, so that all differences of a report come from the same samples."
)
