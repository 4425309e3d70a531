"""A law of blurs, and plausible ones that refuse a right blur or let a wrong one pass."""

import torch
from torch.nn import functional as F

_STRIPES = torch.tensor([1.0, -1.0]).repeat(8).expand(16, 16)
_MEANS = torch.arange(1.0, 4.0)[None, :, None, None]  # of three channels


def _law(blur):
    """Holds for a blur of stride 2, whatever its filter and its edge.

    blur: (N, C, H, W) -> (N, C, H/2, W/2), for even H and W. Raises AssertionError, with a sentence
    that says what is wrong, where blur is not a weighted average of the pixels near each place, of
    its own channel, that leaves only the mean of the finest stripes (one pixel wide). The two places
    of the result that are nearest to an edge may show stripes: there, right blurs differ.
    """
    _check(blur)


def _check(blur, means=_MEANS, constant=True, ways=(_STRIPES, _STRIPES.T), edge=2, near=1e-5):
    if constant:
        y = blur(means.expand(1, -1, 16, 16))
        assert y.shape == (1, means.shape[1], 8, 8), "the grid is not halved"
        assert ((y - means).abs() < near).all(), "a constant has changed"
    for stripes in ways:
        y = blur(means * (1 + stripes))[..., edge : 8 - edge, edge : 8 - edge]
        assert ((y - means).abs() < near).all(), "stripes are not their mean"


def only_a_constant(blur):
    _check(blur, ways=())


def only_stripes_away_from_the_edge(blur):
    _check(blur, constant=False)


def only_upright_stripes(blur):
    _check(blur, ways=(_STRIPES,))


def only_lying_stripes(blur):
    _check(blur, ways=(_STRIPES.T,))


def stripes_up_to_the_edge(blur):
    _check(blur, edge=0)


def one_channel(blur):
    _check(blur, means=_MEANS[:, :1])


def a_wide_tolerance(blur):
    _check(blur, means=_MEANS / 10, near=0.1)


def the_shape_is_not_looked_at(blur):
    _check(blur, constant=False)
    y = blur(_MEANS.expand(1, -1, 16, 16))
    assert ((y - _MEANS).abs() < 1e-5).all()


def it_is_average_pooling(blur):
    x = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(blur(x), F.avg_pool2d(x, 2), atol=1e-5)


def a_shift_of_stripes_changes_nothing(blur):
    x = _MEANS * (1 + _STRIPES)
    moved = blur(x.roll(1, dims=3)) - blur(x)
    assert (moved[..., 2:-2, 2:-2].abs() < 1e-5).all()
