"""05  Pictures to patches.  Read lessons/05_vit.md, then make this file green."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

ANSWER = "miniclip.model.vit:embed_patches"


def embed_patches(images, weight):
    """Cut pictures into squares and project each: (N, C, H, W), (D, C, P, P) -> (N, patches, D).

    There are (H/P)(W/P) patches, row by row. H and W must be multiples of P. A convolution with
    stride P would give the same result. Here it is a matrix product: the C P^2 numbers of each
    patch times one (C P^2, D) matrix.
    """
    raise NotImplementedError  # about 3 lines


def randn(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


sizes = dict(patch=st.integers(1, 3), rows=st.integers(1, 3), columns=st.integers(1, 4))


@given(**sizes, data=st.data())
def test_a_patch_is_read_by_its_own_position_only(patch, rows, columns, data):
    where = data.draw(st.integers(0, rows * columns - 1))
    top, left = where // columns * patch, where % columns * patch
    images = torch.zeros(1, 3, rows * patch, columns * patch, dtype=torch.float64)
    images[:, :, top : top + patch, left : left + patch] = 1
    found = embed_patches(images, randn(4, 3, patch, patch, seed=0))
    changed = found[0].abs().sum(1).nonzero().flatten().tolist()
    assert changed == [where], f"pixels of patch {where} alone are not 0, but so are rows {changed}"


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


@given(**sizes)
def test_the_gradient_reaches_the_weights(patch, rows, columns):
    images = randn(2, 3, rows * patch, columns * patch, seed=0)
    weight = randn(4, 3, patch, patch, seed=1).requires_grad_()
    embed_patches(images, weight).sum().backward()  # of one weight: the sum of its pixels
    want = torch.zeros(4, 3, patch, patch, dtype=torch.float64)
    for top in range(0, rows * patch, patch):
        for left in range(0, columns * patch, patch):
            want += images[:, :, top : top + patch, left : left + patch].sum(0)
    error = (weight.grad - want).abs().max()
    assert error < 1e-9, f"the gradient of the weights is wrong by {error:.1e}"


class Refuse(TorchDispatchMode):
    """While it is on, a convolution fails."""

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        if "conv" in function.name():
            pytest.fail("a convolution is the same, but here you do the cutting yourself")
        return function(*arguments, **(options or {}))


def test_it_cuts_the_picture_itself():
    with Refuse():
        embed_patches(randn(1, 3, 4, 4, seed=0), randn(5, 3, 2, 2, seed=1))


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_a_patch_is_read_by_its_own_position_only": (
        "In the first picture of the lesson, which numbers belong to patch 1, and which are its neighbours in "
        "memory? A reshape alone keeps neighbours in memory together.",
        "Split the height into (rows of patches, rows in a patch) and the width alike. The patch index is "
        "(row of patches, column of patches) in this order; the other axes are the numbers of one patch.",
        'einops: "n c (h p) (w q) -> n (h w) (...)" with p = q = P; the last bracket is one patch.',
    ),
    "test_it_is_a_convolution_whose_stride_is_its_size": (
        "Each patch stands at the right place. In which order are its C P^2 numbers, and in which order are "
        "those of one row of the weights?",
        "The weights are (D, C, P, P): when they are made a matrix of D rows, all numbers of channel 0 come "
        "first, row by row. A patch has to be in the order (C, P, P), too.",
        "patches with (c p q) in the last bracket, times weight.flatten(1): F.linear(patches, matrix).",
    ),
    "test_the_gradient_reaches_the_weights": (
        "The numbers are right, but which operation cuts the result off from the weights?",
        "The weights are learned, so the gradient has to flow through them: no detach, no no_grad, no .data, "
        "no new tensor made of their numbers.",
        "Use weight itself: F.linear(patches, weight.flatten(1)).",
    ),
    "test_it_cuts_the_picture_itself": (
        "The numbers are right. Which function did the cutting for you?",
        "The page shows that a convolution is the same computation. Here, cut the patches with a rearrangement, "
        "and multiply them by a matrix, as in the first picture of the lesson.",
        'einops.rearrange(images, "n c (h p) (w q) -> n (h w) (c p q)", p=P, q=P), then F.linear.',
    ),
}
DIFFERS = """It leaves the cut to one line of einops, whose letters say which axis is which, and reads P from the weights, so
the same function serves every patch size and also grids that are not square."""
