"""04  The law of a blur.  Read lessons/04_resnet.md, then make this file green.

Here you write the test: what is true of every blur in RIGHT and false of every one in WRONG?
"""

import pytest
import torch
from torch.nn import functional as F

from miniclip.model.blurpool import BlurPool

ANSWER = "tests.answers.ex04_1_blur_law:law"


def law(blur):
    """Holds for a blur of stride 2, whatever its filter and its edge.

    blur: (N, C, H, W) -> (N, C, H/2, W/2), for even H and W. Raises AssertionError, with a sentence
    that says what is wrong, unless all of these hold:

    - The result has half the height and half the width.
    - A picture that is the same everywhere stays the same, up to the edge.
    - Each channel is blurred by itself.
    - The finest stripes (one pixel wide, upright or lying) become their mean, except in the two
      places of the result that are nearest to an edge: there, right blurs differ.
    """
    raise NotImplementedError  # about 8 lines


def filtered(x, weights, mode="replicate"):
    """Average with weights along rows and along columns, then keep every second pixel."""
    row = torch.tensor(weights) / sum(weights)
    x = F.pad(x, (len(row) // 2, (len(row) - 1) // 2) * 2, mode=mode)
    filter = torch.outer(row, row).expand(x.shape[1], 1, -1, -1)
    return F.conv2d(x, filter, stride=2, groups=x.shape[1])


RIGHT = {
    "2 taps": BlurPool(),
    "3 taps": BlurPool(taps=3),
    "5 taps": BlurPool(taps=5),
    "4 taps, weights 1 3 3 1": lambda x: filtered(x, [1.0, 3.0, 3.0, 1.0]),
    "3 taps, the edge reflected": lambda x: filtered(x, [1.0, 2.0, 1.0], mode="reflect"),
}
WRONG = {
    "every second pixel": lambda x: x[..., ::2, ::2],
    "the largest of four pixels": lambda x: F.max_pool2d(x, 2),
    "twice the average": lambda x: 2 * F.avg_pool2d(x, 2),
    "the stride before the blur": lambda x: F.avg_pool2d(
        F.pad(x[..., ::2, ::2], (0, 1, 0, 1), "replicate"), 2, 1
    ),
    "a blur along rows only": lambda x: F.avg_pool2d(x, (1, 2))[..., ::2, :],
    "a blur along columns only": lambda x: F.avg_pool2d(x, (2, 1))[..., ::2],
    "weights 1 3 1": lambda x: filtered(x, [1.0, 3.0, 1.0]),
    "zeros at the edge": lambda x: filtered(x, [1.0, 2.0, 1.0], mode="constant"),
    "the mean of all channels": lambda x: (
        F.avg_pool2d(x, 2).mean(1, keepdim=True).expand(-1, x.shape[1], -1, -1)
    ),
    "no stride": lambda x: F.avg_pool2d(F.pad(x, (0, 1, 0, 1), "replicate"), 2, 1),
}


def refusal(blur):
    """What the law says against a blur, or None."""
    try:
        law(blur)
    except AssertionError as error:
        return str(error).partition("\n")[0]


@pytest.mark.parametrize("name", RIGHT)
def test_right_blurs_keep_the_law(name):
    why = refusal(RIGHT[name])
    if why is not None:
        pytest.fail(f"your law refuses a right blur ({name}): {why}", pytrace=False)


@pytest.mark.parametrize("name", WRONG)
def test_wrong_blurs_break_the_law(name):
    if refusal(WRONG[name]) is None:
        why = "which picture tells it from the right ones? (lesson 04, section The blur)"
        pytest.fail(f"your law lets a wrong blur pass ({name}): {why}", pytrace=False)


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_right_blurs_keep_the_law": (
        "The name of the blur is in the message. Where does its result differ from what you expect: in the "
        "middle, or at the edge?",
        "Two things differ among right blurs. Their results differ for most pictures, so do not compare with "
        "one of them. And stripes may survive in the two places next to an edge (see the docstring).",
        "Compare stripes only in y[..., 2:-2, 2:-2], with their mean, and allow a small error such as 1e-5.",
    ),
    "test_wrong_blurs_break_the_law": (
        "The name of the blur is in the message. Which picture does this blur spoil, although none of the "
        "five right ones spoils it?",
        "The section The blur names the pictures: one that is the same everywhere keeps its value, up to the "
        "edge; the finest stripes become their mean, both upright and lying ones. Use several channels with "
        "different values, and look at the shape of the result.",
        "With m = 1, 2, 3 in three channels: blur(m everywhere) has half the height and width and is m "
        "everywhere; blur(m * (1 + s)) is m away from the edge, for columns s = 1, -1, 1, ... and for s.T.",
    ),
}
DIFFERS = """It needs three pictures only. Stripes of 0 and 2 times a channel's mean have this mean, and the mean
is another one in each channel, so the same comparison notices a blur that mixes channels."""
