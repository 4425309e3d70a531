"""The tolerances of tests/rounding.py are not merely loose: 1 % in any one gradient is too much."""

import math

import pytest
import torch

from miniclip.loss import contrastive_loss
from tests.losses import batch, definition, grads, scale_for
from tests.rounding import assert_within, loss_bounds

pytestmark = pytest.mark.numerics

# kind of pairs, noise as a multiple of sqrt(D) / 3 (where strangers come as close), scale
REGIMES = {
    "untrained": ("random", 0, 14.3),
    "hopeless": ("random", 0, 100),
    "early": ("matched", 1, 14.3),
    "trained": ("matched", 1, 100),
    "a loss of 1e-7": ("matched", 0.1, None),
}


@pytest.mark.parametrize("n, d", [(7, 17), (33, 64), (257, 512)])
@pytest.mark.parametrize("regime", REGIMES)
def test_one_percent_in_any_gradient_of_the_loss_turns_red(regime, n, d):
    kind, noise, scale = REGIMES[regime]
    image, text = batch(n, d, kind, noise=noise * d**0.5 / 3)
    logit_scale = math.log(scale) if scale else scale_for(1e-7, image, text)
    true = grads(definition, image, text, logit_scale)
    got = list(grads(contrastive_loss, image, text, logit_scale, torch.float32))
    bounds = loss_bounds(image, text, logit_scale, torch.float32)
    assert_within(got, true, bounds)
    for k, wrong in enumerate(("value", "image", "text", "scale")):
        off = [1.01 * g if j == k else g for j, g in enumerate(got)]
        with pytest.raises(AssertionError, match=f"{wrong}: .* times what rounding can do"):
            assert_within(off, true, bounds)
