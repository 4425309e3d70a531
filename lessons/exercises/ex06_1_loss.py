"""06  The contrastive loss. Read lessons/06_loss.md, then make this file green."""

import math

import torch
import torch.nn.functional as F  # noqa: F401  (for your answer)
from hypothesis import given
from hypothesis import strategies as st

ANSWER = "miniclip.loss:clip_loss"
HINTS = {
    "test_equal_features_have_a_loss_of_log_n": (
        "Three equal logits cost log 3. How many rows and columns are in your sum, and by what is it divided?",
        "The loss is the mean over N pictures and N captions, so it is the mean of the two directions and "
        "not their sum (lesson 06, 'Three pairs, nine cosines').",
        "F.cross_entropy(logits, matched) is already a mean over N, with class i for row i: "
        "matched = torch.arange(N). Halve the sum of both directions.",
    ),
    "test_the_length_of_a_feature_does_not_matter": (
        "What do you have to do to a vector before a dot product is a cosine?",
        "Each feature, which is one row of `image` or `text`, needs the length 1. A column is no feature.",
        "image = F.normalize(image, dim=1), and text in the same way.",
    ),
    "test_perfect_pairs_have_the_loss_that_the_scale_leaves": (
        "Which argument have you used as it is?",
        "The third argument is the logarithm of the scale, and cosines are multiplied by the scale "
        "(lesson 06, 'Three pairs, nine cosines').",
        "logits = logit_scale.exp() * image @ text.T",
    ),
    "test_swapping_the_towers_changes_nothing": (
        "Who picks among whom in your loss, and is there somebody who does not pick?",
        "Pictures pick captions, and captions pick pictures: lesson 06, 'Why both rows and columns?'. One "
        "direction is missing.",
        "F.cross_entropy takes the softmax of each row. For the captions give it logits.T.",
    ),
    "test_both_directions_count": (
        "Compare your loss with the two numbers in the message. Is it one of them?",
        "The rows' losses and the columns' losses have equal weight: lesson 06, 'Why both rows and "
        "columns?'.",
        "(F.cross_entropy(logits, matched) + F.cross_entropy(logits.T, matched)) / 2",
    ),
}
DIFFERS = (
    "This is the library's definition, and training does not use it: contrastive_loss has the same value "
    "and gradient, and never holds N x N numbers. Lessons 08 and 09 show how."
)


def clip_loss(image, text, logit_scale):
    """CLIP's loss, as it is defined: the mean of N pictures' and N captions' losses (CLIP, figure 3).

    image, text: (N, E), features of any length; logit_scale: the log of the scale. Returns 0-d.
    """
    raise NotImplementedError  # about 5 lines


sizes = st.integers(2, 20)
widths = st.integers(2, 30)
seeds = st.integers(0, 10**6)


def pairs(n, d, seed):
    return torch.randn(2, n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def same_loss(loss, want, when):
    loss, want = float(loss), float(want)
    assert abs(loss - want) < 1e-9, f"the loss is {loss:.6f} and should be {want:.6f}: {when}"


@given(sizes, widths)
def test_equal_features_have_a_loss_of_log_n(n, d):
    same = torch.ones(n, d, dtype=torch.float64)
    loss = clip_loss(same, same, torch.tensor(2.0).double())
    same_loss(loss, math.log(n), f"all features are equal and N = {n}")


@given(sizes, widths, seeds)
def test_the_length_of_a_feature_does_not_matter(n, d, seed):
    image, text = pairs(n, d, seed)
    scale = torch.tensor(1.0).double()
    want = clip_loss(image, text, scale)
    lengths = torch.logspace(-2, 2, n, dtype=torch.float64)[:, None]
    when = f"the {n} features of pictures (of captions) are .01 to 100 times as long"
    same_loss(clip_loss(image * lengths, text, scale), want, when)
    same_loss(clip_loss(image, text * lengths, scale), want, when)


@given(sizes, st.floats(-1, 4))
def test_perfect_pairs_have_the_loss_that_the_scale_leaves(n, logit_scale):
    """Matched cosines are 1 and all others 0: log(1 + (n - 1) exp(-scale))."""
    eye = 3 * torch.eye(n, dtype=torch.float64)
    loss = clip_loss(eye, eye, torch.tensor(logit_scale, dtype=torch.float64))
    want = math.log1p((n - 1) * math.exp(-math.exp(logit_scale)))
    same_loss(loss, want, f"N = {n}, logit_scale {logit_scale:.2f} (a logarithm)")


@given(sizes, widths, seeds)
def test_swapping_the_towers_changes_nothing(n, d, seed):
    image, text = pairs(n, d, seed)
    scale = torch.tensor(1.5).double()
    same_loss(
        clip_loss(text, image, scale), clip_loss(image, text, scale), "image and text swapped"
    )


def test_both_directions_count():
    """Each image is nearest to its own text, but the first text is near to both images."""
    image = torch.tensor([[1.0, 0.0], [0.8, 0.6]], dtype=torch.float64)
    text = torch.tensor([[1.0, 0.0], [0.6, 0.8]], dtype=torch.float64)
    s = math.exp(2.0) * image @ text.T
    rows = (torch.logsumexp(s, 1) - s.diagonal()).mean()
    columns = (torch.logsumexp(s, 0) - s.diagonal()).mean()
    want = (rows + columns) / 2
    loss = clip_loss(image, text, torch.tensor(2.0).double())
    same_loss(loss, want, f"the rows alone have {rows:.3f}, the columns alone {columns:.3f}")
