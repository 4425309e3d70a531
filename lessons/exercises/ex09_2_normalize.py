"""09  Back through the normalization. Read lessons/09_backward.md, then make this file green."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from kernels.reference import normalize

ANSWER = "kernels.reference:normalize_backward"


def normalize_backward(g, xhat, norm, factor, dtype):
    """Back through `normalize`. g, xhat: (M, D); norm: (M,) -> (dx (M, D) in dtype, row_dot (M,)).

    g' = factor * g is the gradient of the loss with respect to xhat, and g may be overwritten. dx
    is the gradient with respect to the features before `normalize`. Each row of dx is perpendicular
    to the features of that row. row_dot = <xhat, g'>. The sum of row_dot over all pictures (or over
    all captions) is the gradient of logit_scale, because the loss depends on logit_scale and xhat
    only through the products exp(logit_scale) <xhat, yhat>.
    """
    raise NotImplementedError  # about 5 lines


rows, widths, seeds = st.integers(1, 20), st.integers(1, 30), st.integers(0, 10**6)


def close(got, true, what):
    assert got.shape == true.shape, f"{what}: shape {(*got.shape,)}, not {(*true.shape,)}"
    factor = ((got * true).sum() / true.square().sum().clamp_min(1e-300)).item()
    where = "" if torch.allclose(got, factor * true, rtol=1e-6, atol=1e-9) else "about "
    assert torch.allclose(got, true, rtol=1e-7, atol=1e-7), (
        f"{what} is {where}{factor:.4g} times what it should be"
    )


def numbers(m, d, seed):
    return torch.randn(2, m, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(rows, widths, seeds, st.floats(0.1, 10), st.floats(1e-3, 1e3))
def test_it_is_what_autograd_says(m, d, seed, factor, size):
    x, g = numbers(m, d, seed)
    x = (size * x).requires_grad_()
    (x / x.norm(dim=1, keepdim=True)).backward(factor * g)
    xhat, norm = normalize(x.detach(), torch.float64)
    dx, _ = normalize_backward(g.clone(), xhat, norm, factor, torch.float64)
    close(dx * size, x.grad * size, "dx, against autograd,")


@given(rows, widths, seeds, st.floats(0.1, 10))
def test_row_dot_is_each_row_s_part_of_the_scale_s_gradient(m, d, seed, factor):
    x, g = numbers(m, d, seed)
    xhat, norm = normalize(x, torch.float64)
    _, row_dot = normalize_backward(g.clone(), xhat, norm, factor, torch.float64)
    close(row_dot, factor * (xhat * g).sum(1), "row_dot")


@given(rows, widths, seeds)
def test_the_gradient_is_perpendicular_to_the_row(m, d, seed):
    x, g = numbers(m, d, seed)
    xhat, norm = normalize(x, torch.float64)
    dx, _ = normalize_backward(g.clone(), xhat, norm, 1.0, torch.float64)
    along = (dx * xhat).sum(1).abs() * norm
    assert (along < 1e-12 * (1 + g.norm(dim=1))).all(), f"dx has a part along the row: {along}"


@given(rows, widths, seeds)
def test_a_zero_row_has_zero_gradient(m, d, seed):
    x, g = numbers(m, d, seed)
    x[0] = 0
    xhat, norm = normalize(x, torch.float64)
    dx, row_dot = normalize_backward(g.clone(), xhat, norm, 1.0, torch.float64)
    assert not dx[0].any(), f"a row of zeros got the gradient {dx[0]}"
    assert row_dot[0] == 0 and torch.isfinite(dx).all(), f"row_dot {row_dot}, dx {dx}"


@given(rows, widths, seeds, st.sampled_from([torch.float16, torch.bfloat16, torch.float32]))
def test_it_comes_in_the_dtype_of_the_feature(m, d, seed, dtype):
    x, g = (t.float() for t in numbers(m, d, seed))
    xhat, norm = normalize(x.to(dtype), torch.float32)
    dx, row_dot = normalize_backward(g, xhat, norm, 1.0, dtype)
    assert dx.dtype == dtype, f"the feature is {dtype}, its gradient {dx.dtype}"
    assert row_dot.dtype == torch.float32, f"row_dot comes in g's dtype, not in {row_dot.dtype}"


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_it_is_what_autograd_says": (
        "Do the example of the lesson: x = (3, 4), g = (1, 0). Which of the three steps do you not have?",
        "Multiply g by `factor`, take away the part along xhat, and divide what is left by the feature's length "
        "(lesson 09, 'Back through the normalization').",
        "dx = (g - xhat * row_dot[:, None]) / norm[:, None], after g = factor * g",
    ),
    "test_row_dot_is_each_row_s_part_of_the_scale_s_gradient": (
        "Before or after what is the dot product taken?",
        "row_dot belongs to the true gradient with respect to xhat, which is `factor` times g.",
        "row_dot = (xhat * (factor * g)).sum(1)",
    ),
    "test_the_gradient_is_perpendicular_to_the_row": (
        "What is the dot product of your dx with xhat?",
        "What is taken away must be the whole part along xhat, and nothing else may be scaled between: step 1 of "
        "lesson 09, 'Back through the normalization'.",
        "g - xhat * (xhat * g).sum(1, keepdim=True)",
    ),
    "test_a_zero_row_has_zero_gradient": (
        "What is the norm of a row of zeros here, and what is a number divided by it?",
        "`normalize` gives a row of zeros an infinite norm. Divide by the norm as it is, and the gradient is 0.",
        "Divide by norm[:, None]; do not multiply by 1 / |x| that you have computed yourself.",
    ),
    "test_it_comes_in_the_dtype_of_the_feature": (
        "Which dtype does dx have, and which has row_dot?",
        "dx goes back to the tower, in its dtype. row_dot is added up over all pictures, so it keeps that of g.",
        "Convert dx alone: return dx.to(dtype), row_dot",
    ),
}
DIFFERS = (
    "The library does a few rows at a time, in place and in memory that it already has, because g may be "
    "overwritten. The formula is the same."
)
