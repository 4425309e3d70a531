"""01  The loss, without a library. Read lessons/01_train.md, then make this file green.

    pytest lessons/exercises/ex01_2_loss.py -x

Plain lists of numbers suffice; Python's math module is imported for you.
"""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

ANSWER = "tests.answers.ex01_2_loss:contrast"


def contrast(logits):
    """CLIP's loss of a table of logits: a number.

    logits: a list of N rows of N numbers; row i is picture i with every text, and text i is its own.
    """
    raise NotImplementedError  # about 8 lines


def equal(found, want, what):
    assert isinstance(found, float), f"the loss is {found!r}, and should be a float"
    assert abs(found - want) < 1e-9, f"the loss is {found:.4f} and should be {want:.4f}: {what}"


@given(st.integers(1, 20), st.floats(-5, 5))
def test_a_table_without_any_difference_has_a_loss_of_log_n(n, logit):
    equal(contrast([[logit] * n] * n), math.log(n), f"all entries are {logit:.2f}, and N = {n}")


def both_ways(logits):
    x, right = torch.tensor(logits, dtype=torch.float64), torch.arange(len(logits))
    rows, columns = F.cross_entropy(x, right).item(), F.cross_entropy(x.T, right).item()
    return (rows + columns) / 2, f"the rows alone have {rows:.4f}, the columns alone {columns:.4f}"


def test_the_three_pairs_of_the_lesson():
    logits = [[2.0, 0.0, 1.0], [0.0, 2.0, 2.0], [0.0, 2.0, 2.0]]
    equal(contrast(logits), *both_ways(logits))


tables = st.integers(1, 6).flatmap(
    lambda n: st.lists(st.lists(st.floats(-10, 10), min_size=n, max_size=n), min_size=n, max_size=n)
)


@given(tables)
def test_turning_the_table_changes_nothing(logits):
    turned = [list(column) for column in zip(*logits)]
    equal(contrast(turned), contrast(logits), f"rows and columns of {logits} changed places")


@given(tables, st.floats(-10, 10))
def test_adding_the_same_number_everywhere_changes_nothing(logits, more):
    added = [[x + more for x in row] for row in logits]
    equal(contrast(added), contrast(logits), f"{more:.2f} was added to every entry of {logits}")


@given(tables)
def test_it_is_the_cross_entropy_of_rows_and_columns(logits):
    want, what = both_ways(logits)
    equal(contrast(logits), want, f"of {logits} {what}")


def test_a_large_logit_does_not_overflow():
    for logits in (
        [[1000.0, 999.0], [3.0, 1000.0]],
        [[-1000.0, 0.0], [1000.0, -999.0]],
        [[-1000.0]],
    ):
        want, what = both_ways(logits)
        try:
            found = contrast(logits)
        except (OverflowError, ValueError) as error:
            pytest.fail(f"{error} for the logits {logits}: the loss is {want:.4f}")
        equal(found, want, f"of {logits} {what}")


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_a_table_without_any_difference_has_a_loss_of_log_n": (
        "In a row of N equal entries each caption has the share 1/N. What is -log of 1/N, and what do you "
        "make of N such rows and N such columns?",
        "A row's loss is -log of its right caption's share. The share is one exponential, divided by the "
        "sum of all exponentials of the row. Then come two means: over the rows, and over the columns.",
        "The loss of row i is math.log(sum(math.exp(x) for x in row)) - row[i]. Divide the sum of these by "
        "len(logits), and the sum of the rows' and the columns' mean by 2.",
    ),
    "test_the_three_pairs_of_the_lesson": (
        "Your function is right on a table of equal entries, but not on this one. Which entries are the "
        "right ones, and which two questions does the loss ask?",
        "The right entries are the diagonal. Rows are asked for their caption, columns for their picture, "
        "and the loss is the mean of both.",
        "The rows of list(zip(*logits)) are the columns of logits: do with them what you do with the rows, "
        "and return (mean of the rows' losses + mean of the columns' losses) / 2.",
    ),
    "test_turning_the_table_changes_nothing": (
        "What happens to your loss if rows and columns change places?",
        "Pictures choose among captions, and captions among pictures. One of the two is missing, or counts "
        "more than the other.",
        "The rows of list(zip(*logits)) are the columns of logits: do with them what you do with the rows.",
    ),
    "test_adding_the_same_number_everywhere_changes_nothing": (
        "A softmax compares entries with each other. What happens to your loss if all of them grow by 1?",
        "The right entry and the log of the sum of exponentials must grow by the same amount. Perhaps one "
        "of them lacks its exp or its log.",
        "The loss of row i is math.log(sum(math.exp(x) for x in row)) - row[i].",
    ),
    "test_it_is_the_cross_entropy_of_rows_and_columns": (
        "Your loss is right where the diagonal holds the largest entries. Is it right where it does not?",
        "The right entry of row i is entry i, whether it is large or small.",
        "The loss of row i is math.log(sum(math.exp(x) for x in row)) - row[i].",
    ),
    "test_a_large_logit_does_not_overflow": (
        "What is math.exp(1000), and what is math.log(math.exp(-1000))?",
        "A softmax does not change when the same number is subtracted from all entries of its row. Which "
        "number makes every exponent 0 or less, and one of them 0?",
        "With largest = max(row): largest + math.log(sum(math.exp(x - largest) for x in row)) - row[i].",
    ),
}
DIFFERS = (
    "The library calls F.cross_entropy, which also subtracts the largest number of a row before it takes "
    "exponentials. Lesson 08 takes this sum block by block, without ever storing a whole row."
)
