"""A batch in parts has the gradients of the batch in one go."""

import contextlib
import copy
import functools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from miniclip import create_model
from miniclip.loss import contrastive_loss
from miniclip.training.grad_cache import microbatch_step
from tests.model.numbers import as_if_trained, assert_same_gradients, batch, gradients

pytestmark = pytest.mark.numerics


def in_one_go(model, images, tokens, autocast=contextlib.nullcontext):
    model.zero_grad()
    with autocast():
        image, text, _ = model(images, tokens, normalize=False)
    loss = contrastive_loss(image, text, model.logit_scale)
    loss.backward()
    return loss.detach(), gradients(model)


def in_parts(model, images, tokens, size, autocast=contextlib.nullcontext):
    model.zero_grad()
    parts = list(zip(images.split(size), tokens.split(size)))
    # an iterator, because both passes must take the same parts, also from a loader that shuffles
    loss, *_ = microbatch_step(model, iter(parts), contrastive_loss, autocast=autocast)
    return loss, gradients(model)


def distance(a, b):
    """Relative Frobenius distance of two sets of gradients."""
    difference = sum((a[name] - b[name]).square().sum() for name in a)
    return (difference / sum(g.square().sum() for g in a.values())).sqrt().item()


@pytest.fixture(scope="module")
def vit():
    torch.manual_seed(0)
    return create_model("vit_mini", vocab_size=600).train()


@settings(max_examples=5)
@given(n=st.integers(2, 9), size=st.integers(1, 9), seed=st.integers(0, 99))
def test_parts_of_any_size_give_the_gradients_of_the_whole(vit, n, size, seed):
    model = copy.deepcopy(vit).double()
    images, tokens = batch(model, n, seed, torch.float64)
    loss, whole = in_one_go(model, images, tokens)
    loss_parts, parts = in_parts(model, images, tokens, size)
    torch.testing.assert_close(loss_parts, loss)
    assert whole.keys() == dict(model.named_parameters()).keys()
    assert_same_gradients(parts, whole)


@pytest.mark.parametrize("low", [torch.bfloat16, torch.float16])
def test_under_autocast_every_parameter_has_the_gradient_of_the_whole(vit, low):
    """On torch 2.7, under one autocast around both passes, 50 of 86 parameters got no gradient: the
    second pass used the cast weights that the first one had left in the cache, without gradients.

    Each weight's gradient is rounded to 16 bits once in one go, and once a part in parts: by half
    of eps at most either way. Activations are rounded alike but where their last bit in float32
    differs, since matrix products of other sizes may add in another order.
    """
    autocast = functools.partial(torch.autocast, "cpu", low)
    images, tokens = batch(vit, 7, 0)
    loss_parts, parts = in_parts(vit, images, tokens, 3, autocast)
    loss, whole = in_one_go(vit, images, tokens, autocast)
    torch.testing.assert_close(loss_parts, loss, rtol=torch.finfo(low).eps, atol=0)
    got = distance(whole, parts)
    assert got < torch.finfo(low).eps, f"{got:.1e} is more than two roundings to {low}"


def test_with_batch_norm_the_parts_are_normalized_apart_and_the_averages_count_once():
    torch.manual_seed(0)
    # float64, whose rounding (1e-16, and what cancels) turns no ReLU from shut to open
    model = as_if_trained(create_model("rn_mini", vocab_size=600).train().double())
    images, tokens = batch(model, 8, dtype=torch.float64)
    _, whole = in_one_go(model, images, tokens)
    _, one = in_parts(model, images, tokens, 8)
    assert distance(whole, one) < 1e-10
    before = model.visual.bn1.num_batches_tracked.item()
    _, parts = in_parts(model, images, tokens, 4)
    assert distance(whole, parts) > 1e-3
    assert model.visual.bn1.num_batches_tracked.item() == before + 2  # two parts, each once
