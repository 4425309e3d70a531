"""The tolerances of tests/rounding.py are not merely loose: 1 % in any one gradient is too much."""

import math

import pytest
import torch

from miniclip.loss import contrastive_loss
from tests.losses import batch, definition, grads, scale_for
from tests.rounding import assert_within, loss_bounds, rounding

pytestmark = pytest.mark.numerics

# kind of pairs, noise as a multiple of sqrt(D) / 3 (where strangers come as close), scale
REGIMES = {
    "untrained": ("random", 0, 14.3),
    "hopeless": ("random", 0, 100),
    "early": ("matched", 1, 14.3),
    "trained": ("matched", 1, 100),
    "a loss of 1e-7": ("matched", 0.1, None),
}


@pytest.mark.parametrize("wrong", ["value", "image", "text", "scale"])
@pytest.mark.parametrize("n, d", [(7, 17), (33, 64), (257, 512)])
@pytest.mark.parametrize("regime", REGIMES)
def test_one_percent_in_any_gradient_of_the_loss_turns_red(regime, n, d, wrong):
    kind, noise, scale = REGIMES[regime]
    image, text = batch(n, d, kind, noise=noise * d**0.5 / 3)
    logit_scale = math.log(scale) if scale else scale_for(1e-7, image, text)
    true = grads(definition, image, text, logit_scale)
    got = list(grads(contrastive_loss, image, text, logit_scale, torch.float32))
    bounds = loss_bounds(image, text, logit_scale, torch.float32)
    assert_within(got, true, bounds)
    got[["value", "image", "text", "scale"].index(wrong)] *= 1.01
    with pytest.raises(AssertionError, match=f"{wrong}: .* times what rounding can do"):
        assert_within(got, true, bounds)


@pytest.mark.parametrize("wrong", [1, 2])
def test_one_row_of_the_gradient_is_enough(wrong):
    image, text = batch(33, 64)
    true = grads(definition, image, text, 3.0)
    got = grads(contrastive_loss, image, text, 3.0, torch.float32)
    got[wrong][7] *= 1.01
    with pytest.raises(AssertionError):
        assert_within(got, true, loss_bounds(image, text, 3.0, torch.float32))


def test_a_probability_subtracted_from_one_is_seen():
    """What plain torch does with the match's probability, where the loss is 1e-7."""
    image, text = batch(65, 64, "matched", noise=0.1)
    logit_scale = scale_for(1e-7, image, text)
    plain = grads(definition, image, text, logit_scale, torch.float32)
    with pytest.raises(AssertionError):
        bounds = loss_bounds(image, text, logit_scale, torch.float32)
        assert_within(plain, grads(definition, image, text, logit_scale), bounds)


def test_the_worst_of_a_thousand_sums_one_by_one_is_within_four_deviations_and_beyond_one():
    x = torch.rand(500, 1000, generator=torch.Generator().manual_seed(0))
    total = torch.zeros(1000)
    for row in x:
        total = total + row
    error = (total.double() / x.double().sum(0) - 1).abs().max().item()
    assert rounding(torch.float32, 500) / 4 < error < rounding(torch.float32, 500), f"{error:.1e}"
