"""05  Pictures to patches.  Read lessons/05_vit.md, then make this file green."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

ANSWER = "miniclip.model.vit:embed_patches"
HINT = """einops.rearrange cuts and orders the patches in one line: which letters make the list of patches,
and which one patch? The weights must have the same order of numbers."""


def embed_patches(images, weight):
    """Cut pictures into squares and project each: (N, C, H, W), (D, C, P, P) -> (N, patches, D).

    patches = (H/P)(W/P), row by row. The same as a convolution of stride P, written as a matrix product:
    the C P^2 numbers of a patch times one (C P^2, D) matrix. H and W must be multiples of P.
    """
    raise NotImplementedError  # about 3 lines


def randn(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


sizes = dict(patch=st.integers(1, 3), rows=st.integers(1, 3), columns=st.integers(1, 4))


@given(**sizes, seed=st.integers(0, 99))
def test_it_is_a_convolution_whose_stride_is_its_size(patch, rows, columns, seed):
    images = randn(2, 3, rows * patch, columns * patch, seed=seed)
    weight = randn(4, 3, patch, patch, seed=seed + 1)
    want = F.conv2d(images, weight, stride=patch).flatten(2).transpose(1, 2)
    found = embed_patches(images, weight)
    shape = tuple(want.shape)
    assert found.shape == shape, f"{tuple(found.shape)}, but (N, patches, D) is {shape}"
    error = (found - want).abs().max()
    assert error < 1e-9, f"away from the convolution by {error:.1e}: is a patch's order (C, P, P)?"


@given(**sizes, data=st.data())
def test_a_patch_is_read_by_its_own_position_only(patch, rows, columns, data):
    where = data.draw(st.integers(0, rows * columns - 1))
    top, left = where // columns * patch, where % columns * patch
    images = torch.zeros(1, 3, rows * patch, columns * patch, dtype=torch.float64)
    images[:, :, top : top + patch, left : left + patch] = 1
    found = embed_patches(images, randn(4, 3, patch, patch, seed=0))
    changed = found[0].abs().sum(1).nonzero().flatten().tolist()
    assert changed == [where], f"pixels of patch {where} alone are not 0, but so are rows {changed}"


@given(**sizes)
def test_the_gradient_reaches_the_weights(patch, rows, columns):
    images = randn(2, 3, rows * patch, columns * patch, seed=0)
    weight = randn(4, 3, patch, patch, seed=1).requires_grad_()
    embed_patches(images, weight).sum().backward()  # of one weight: the sum of its pixels
    want = images.reshape(2, 3, rows, patch, columns, patch).sum((0, 2, 4))
    error = (weight.grad - want).abs().max()
    assert error < 1e-9, f"the gradient of the weights is wrong by {error:.1e}"
