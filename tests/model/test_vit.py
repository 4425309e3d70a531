"""Laws of the Vision Transformer: patches are projected, and positions can be resized."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from miniclip.model.vit import ViT, embed_patches, resize_positions
from tests.model.numbers import randn
from tests.rounding import rounding

pytestmark = pytest.mark.numerics
# two passes in float32, each of up to 24 weights (6 cells become 1) that are themselves made of sums
RESIZED = rounding(torch.float32, 100)


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(0, 99))
def test_patches_are_a_convolution_and_an_unfold_times_the_weights(patch, rows, columns, seed):
    images, weight = (
        randn(2, 3, rows * patch, columns * patch, seed=seed),
        randn(5, 3, patch, patch),
    )
    found = embed_patches(images, weight)
    conv = F.conv2d(images, weight, stride=patch).flatten(2).transpose(1, 2)
    unfold = F.unfold(images, patch, stride=patch).transpose(1, 2) @ weight.flatten(1).T
    assert found.shape == (2, rows * columns, 5)
    assert torch.allclose(found, conv, atol=1e-12) and torch.allclose(found, unfold, atol=1e-12)


@given(st.integers(1, 6), st.integers(1, 8))
def test_resized_positions_keep_the_first_and_what_is_constant_or_has_the_size(side, grid):
    positions = torch.cat([randn(1, 4), randn(1, 4, seed=1).expand(side * side, 4)])
    resized = resize_positions(positions, grid)
    assert resized.shape == (grid * grid + 1, 4) and resized.dtype == positions.dtype
    assert torch.equal(resized[0], positions[0])
    assert (resized[1:] - positions[1]).abs().max() <= RESIZED * 2 * positions.abs().max()
    positions = randn(grid * grid + 1, 4)
    assert torch.equal(resize_positions(positions, grid), positions)


def test_resized_positions_keep_their_place():
    ramp = torch.stack(torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij"), -1)
    resized = resize_positions(torch.cat([torch.zeros(1, 2), ramp.reshape(64, 2)]), 16)
    rows, columns = resized[1:].reshape(16, 16, 2).unbind(-1)
    middle = slice(4, 12)  # a bicubic reproduces a ramp away from the edge
    want = (torch.arange(16.0) + 0.5) / 2 - 0.5
    for found, true in ((rows, want[:, None]), (columns, want[None, :])):
        wrong = (found - true)[middle, middle].abs().max()
        assert wrong <= RESIZED * 2 * 7, f"{wrong:.1e}"  # weights of both signs, of places up to 7


def small(**options):
    torch.manual_seed(0)
    return ViT(6, 8, 4, 16, 2, 4, **options).double()


@given(st.permutations(range(4)))
def test_without_positions_the_patches_are_a_set(order):
    model, images = small(), randn(1, 3, 8, 8)
    torch.nn.init.zeros_(model.positional_embedding)
    patches = images.unfold(2, 4, 4).unfold(3, 4, 4).reshape(3, 4, 4, 4)[:, order]
    shuffled = patches.reshape(1, 3, 2, 2, 4, 4).transpose(3, 4).reshape(1, 3, 8, 8)
    assert torch.allclose(model(images), model(shuffled), atol=1e-12)


def test_positions_are_added_to_the_class_token_and_the_patches():
    model, images = small(), randn(1, 3, 8, 8)
    patches = embed_patches(images, model.conv1.weight)
    x = torch.cat([model.class_embedding.expand(1, 1, -1), patches], 1) + model.positional_embedding
    want = model.ln_post(model.transformer(model.ln_pre(x))[:, 0]) @ model.proj
    torch.testing.assert_close(model(images), want)
