"""The right answer to lessons/exercises/ex04_1_blur_law.py."""

import torch


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
    means, near = torch.arange(1.0, 4.0)[None, :, None, None], 1e-5
    y = blur(means.expand(1, -1, 16, 16))
    assert y.shape == (1, 3, 8, 8), "the grid is not halved"
    assert ((y - means).abs() < near).all(), "a constant has changed"
    upright = torch.tensor([1.0, -1.0]).repeat(8).expand(16, 16)
    for stripes in (upright, upright.T):
        y = blur(means * (1 + stripes))[..., 2:-2, 2:-2]
        assert ((y - means).abs() < near).all(), "stripes are not their mean"
