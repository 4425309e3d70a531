"""06  The gradient of the contrastive loss. Read lessons/06_loss.md, then make this file green.

G is N times the gradient by the logits: what the lesson's last table has for three pairs.
"""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

ANSWER = "tests.answers.ex06_2_gradient:gradient"
BY_HAND = "Lesson 06, 'The gradient, by hand'."


def gradient(logits):
    """The table G: N times the gradient of CLIP's loss by each logit, without autograd.

    logits: (N, N), row i is picture i against every caption; the matches are on the diagonal. They may
    be far larger than 88, where the exponential leaves float32. Returns (N, N) in the logits' dtype.
    """
    raise NotImplementedError  # about 3 lines


sizes, seeds = st.integers(1, 8), st.integers(0, 10**6)


def table(n, seed):
    return 3 * torch.randn(n, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mean_loss(logits):
    rows, columns = torch.logsumexp(logits, 1).mean(), torch.logsumexp(logits, 0).mean()
    return (rows + columns) / 2 - logits.diagonal().mean()


@given(sizes, seeds)
def test_all_entries_add_up_to_zero(n, seed):
    total = gradient(table(n, seed)).sum().item()
    assert abs(total) < 1e-9, f"the {n} x {n} entries add up to {total:.3f}"


@given(sizes, seeds)
def test_swapping_pictures_and_captions_transposes_it(n, seed):
    logits = table(n, seed)
    error = (gradient(logits.T) - gradient(logits).T).abs().max().item()
    assert error < 1e-9, f"for {n} pairs an entry differs by {error:.3f}"


def test_three_pairs_have_the_table_of_the_lesson():
    exponentials = torch.tensor([[8.0, 1, 1], [2, 8, 2], [1, 1, 1]], dtype=torch.float64)
    found = gradient(exponentials.log())
    true = torch.tensor([[-0.236, 0.100, 0.175], [0.174, -0.267, 0.333], [0.212, 0.217, -0.708]])
    error = (found - true).abs().max().item()
    assert error < 6e-4, f"G is {found.numpy().round(3).tolist()} and should be {true.tolist()}"


@given(sizes, seeds, st.data())
def test_one_logit_changes_the_loss_by_its_entry(n, seed, data):
    logits = table(n, seed)
    i, j = (data.draw(st.integers(0, n - 1)) for _ in range(2))
    small = torch.zeros(n, n, dtype=torch.float64)
    small[i, j] = 1e-5
    slope = (n * (mean_loss(logits + small) - mean_loss(logits - small)) / 2e-5).item()
    found = gradient(logits)[i, j].item()
    # the third derivative is below 1, and float64 rounds the difference by about 1e-15
    assert abs(found - slope) < 1e-7, (
        f"G[{i}, {j}] of {n} pairs is {found:.5f}; N times the slope of the loss is {slope:.5f}"
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_large_logits_stay_finite(dtype):
    g = gradient(torch.tensor([[1000.0, 999.0], [0.0, -1000.0]], dtype=dtype))
    assert g.isfinite().all(), f"logits of up to 1,000 gave {g.tolist()}"
    assert g.dtype == dtype, f"logits of {dtype} gave {g.dtype}"


def test_it_does_not_ask_autograd():
    """In inference mode nothing can be differentiated."""
    with torch.inference_mode():
        try:
            gradient(table(3, 0))
        except RuntimeError as error:
            pytest.fail(f"torch cannot differentiate here: {error}")


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_all_entries_add_up_to_zero": (
        "What is the sum of a row of probabilities? And what should be the sum of a row's gradient?",
        f"What the match gains, the others lose. Something is taken away once for each match. {BY_HAND}",
        "After you have the mean of both tables of probabilities, subtract 1 on the diagonal.",
    ),
    "test_swapping_pictures_and_captions_transposes_it": (
        "Who picks among whom in your table? Is there somebody who does not pick?",
        f"A logit is in one row and in one column, so it has a part from each. {BY_HAND}",
        "p = logits.softmax(1), q = logits.softmax(0), and both are needed.",
    ),
    "test_three_pairs_have_the_table_of_the_lesson": (
        "Divide your table by the one in the message. Is the quotient the same everywhere?",
        "Both directions count by half, the sign is the gradient's and not the step's, and G is N times "
        f"the gradient of a mean, so that nothing is divided by N. {BY_HAND}",
        "(p + q) / 2, with 1 subtracted at each match.",
    ),
    "test_one_logit_changes_the_loss_by_its_entry": (
        "For three pairs it is right. Is there a 3 in your code?",
        "N is len(logits), and row i belongs to column i.",
        "g = (p + q) / 2; g.diagonal().sub_(1)",
    ),
    "test_large_logits_stay_finite": (
        "What is the exponential of 100 in float32?",
        "Do not take the exponentials yourself: torch's softmax subtracts the largest logit first.",
        "logits.softmax(1) and logits.softmax(0)",
    ),
    "test_it_does_not_ask_autograd": (
        "Does your function call backward or torch.autograd.grad?",
        f"The table can be written down from the probabilities of rows and columns. {BY_HAND}",
        "p = logits.softmax(1), q = logits.softmax(0); their mean, less 1 on the diagonal",
    ),
}
DIFFERS = (
    "The library has no such function, because it would hold N x N numbers. Lesson 09 makes the same table a "
    "chunk of rows at a time, and multiplies it with the features at once."
)
