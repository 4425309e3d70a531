"""06  What a repeated caption costs. Read lessons/06_loss.md, then make this file green.

Here you write no loss, but the lowest value that the loss can have.
"""

import math  # noqa: F401  (for your answer)

import torch
from hypothesis import given
from hypothesis import strategies as st

from miniclip.loss import clip_loss

ANSWER = "tests.answers.ex06_1_floor:lowest_loss"
BOTH_WAYS = "Lesson 06, 'Why both rows and columns?'"


def lowest_loss(captions):
    """The lowest loss that any model can reach on a batch, whatever its features and its scale.

    captions: a list of N captions, of N different pictures; the same caption may occur several times,
    and has the same feature then. The loss counts everything off the diagonal as wrong. -> a float
    """
    raise NotImplementedError  # about 2 lines


WORDS = ["heart", "star", "sun", "moon", "cat"]
batches = st.lists(st.sampled_from(WORDS), min_size=1, max_size=9)


def loss_of(features, captions, scale):
    """CLIP's loss, where a picture's feature is one row of `features` and a caption's depends on its words."""
    texts = torch.eye(len(WORDS), dtype=torch.float64)[[WORDS.index(c) for c in captions]]
    return clip_loss(features, texts, torch.tensor(scale).double().log()).item()


def test_captions_that_differ_cost_nothing():
    found = lowest_loss(list(WORDS))
    assert abs(found) < 1e-9, f"five different captions: the lowest loss is 0, not {found:.3f}"


def test_n_equal_captions_cost_log_n():
    for n, true in (2, 0.6931), (3, 1.0986), (8, 2.0794):
        found = lowest_loss(["heart"] * n)
        assert abs(found - true) < 1e-4, (
            f"{n} times the same caption: the lowest loss is {true:.3f}, not {found:.3f}"
        )


@given(batches)
def test_a_model_that_confuses_only_equal_captions_has_it(captions):
    """Each picture has the feature of its caption, and the scale is 1,000."""
    perfect = torch.eye(len(WORDS), dtype=torch.float64)[[WORDS.index(c) for c in captions]]
    found, reached = lowest_loss(captions), loss_of(perfect, captions, 1000.0)
    assert abs(found - reached) < 1e-9, (
        f"for {captions} a good model reaches {reached:.3f}, and yours says {found:.3f}"
    )


@given(batches, st.integers(0, 10**6), st.floats(0.1, 1000))
def test_no_model_is_below_it(captions, seed, scale):
    generator = torch.Generator().manual_seed(seed)
    pictures = torch.randn(len(captions), len(WORDS), generator=generator, dtype=torch.float64)
    found, loss = lowest_loss(captions), loss_of(pictures, captions, scale)
    assert found < loss + 1e-9, (
        f"for {captions} some model has a loss of {loss:.3f}, and yours says {found:.3f}"
    )


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_captions_that_differ_cost_nothing": (
        "Where all captions differ, which probability can the match have at best?",
        "A model can give each match nearly all of its row and its column, and -log 1 is 0. Only a caption "
        "that occurs more than once costs something.",
        "A pair whose caption occurs n times pays the logarithm of n, and the logarithm of 1 is 0.",
    ),
    "test_n_equal_captions_cost_log_n": (
        "All columns of the table are equal. What is the best that a row can do, and the best that the "
        "columns can do together?",
        "In a row the N equal captions get 1/N each. Each column is the same list of probabilities, and its N "
        f"matches share a sum of 1. So both directions pay, and CLIP's loss is their mean. {BOTH_WAYS}",
        "Both directions pay log N, in the natural logarithm, so their mean is log N: nothing is halved or "
        "added.",
    ),
    "test_a_model_that_confuses_only_equal_captions_has_it": (
        "Which pairs of this batch have to pay, how much, and over how many pairs is the mean taken?",
        "Each of the pairs that share a caption pays the logarithm of their number. The pairs whose caption "
        "is their own pay nothing, but they are counted in the mean.",
        "For each of the N captions, the logarithm of how often it occurs in the list; then the sum by N.",
    ),
    "test_no_model_is_below_it": (
        "A model has a lower loss than your lowest one. Did you let a pair pay too much?",
        "A caption that occurs n times costs log n for each of its n pairs, not more, and the sum is divided "
        "by all N pairs.",
        "For each of the N captions, the logarithm of how often it occurs in the list; then the sum by N.",
    ),
}
DIFFERS = (
    "The library has no such function, because it avoids the cost: with --unique-names, train.py keeps "
    "pictures of one name out of the same batch."
)
