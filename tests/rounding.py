"""What rounding can do to the numbers that the tests compare, derived and not measured.

One rounding changes a number by at most u of itself, u half the dtype's epsilon (2^-24 in float32).
Roundings are independent and about uniform, so each has a standard deviation of u / sqrt(3) and
`count` of them together one of u sqrt(count / 3). A tolerance is four standard deviations. This
holds on every processor: instruction sets, threads and libraries differ in the order of a sum of D
terms, but never round more than D times. Measured errors are smaller, often by 10 or 100 times,
because real sums are split into short ones. tests/test_rounding.py shows what the tolerances see.
"""

import math

import torch


def rounding(dtype, count=1):
    """Four standard deviations of `count` roundings in dtype, relative. count: number or tensor."""
    return 2 * torch.finfo(dtype).eps * (count / 3) ** 0.5


def probability_error(dtype, scale, n, d):
    """The relative error of one softmax probability exp(S - lse), S = scale * cosine, of n terms.

    A similarity sums D products of two unit rows' components (D roundings), whose lengths are sums
    of D squares (D / 4 each, as a root halves an error), and 17 others: divisions, roots, the scale
    and its product, the shift. The lse is made of similarities too: 3 D + 34. An absolute error of S
    is a relative one of exp(S), so each counts `scale` times. Less a shift of up to 126 bits, 87 nats, S
    is rounded once more in the forward pass and once in the backward pass, and so is the lse, and the
    sum of n terms n times. Fused multiply-add leaves out some of these.
    """
    return rounding(dtype, scale**2 * (3 * d + 34) + 3 * 87**2 + n)


def unit_rows(x):
    """x / |x|, without overflow; a zero row stays zero."""
    largest = x.abs().amax(1, keepdim=True)
    x = x / largest.masked_fill(largest == 0, 1)
    length = x.norm(dim=1, keepdim=True)
    return x / length.masked_fill(length == 0, 1)


def loss_bounds(image, text, logit_scale, dtype, operands=None):
    """How far (value, d image, d text, d logit_scale) may be from the truth in float64.

    image, text: (N, E) float64. Those of d image and d text are (N,), for the length of each row's
    error; infinite for a zero row. operands: where the unit rows are rounded to another dtype.

    With G = d loss / d S and the sums of its magnitudes, sum_j |G_ij|, each relative error e of a
    probability moves row i of d image by at most e scale / |x_i| of that sum. The matrix product
    sums N terms, and going back through x / |x| takes two sums of D. Nothing is relative to the
    result, so rows that cancel are allowed what cancelled. The diagonal of G counts as the sum of
    the others' probabilities, since the loss must not lose it as 1 - p does; the truth does, in
    float64, which is the second round of the loop.
    """
    (n, d), scale = image.shape, math.exp(logit_scale)
    x, y = unit_rows(image), unit_rows(text)
    s = scale * x @ y.T
    p = s.softmax(1) + s.softmax(0)
    others = p.clone().fill_diagonal_(0)
    one_minus_p = [s.softmax(k).fill_diagonal_(0).sum(k) for k in (1, 0)]
    others.diagonal().copy_(sum(one_minus_p))
    value = d_image = d_text = d_scale = 0
    for g, how in ((others, dtype), (p + torch.eye(n), torch.float64)):
        e = probability_error(how, scale, n, d)
        products = rounding(how, n + 2 * d + 20)
        if how == dtype != (operands or dtype):
            # each of the 2 D components of a pair is rounded once more, by up to u of itself, as
            # are G, the other rows and the row itself; exp: in bfloat16 e is no small number
            e = torch.expm1(e + scale * rounding(operands, 4 * x.square() @ y.square().T))
            products += rounding(operands, 3)
            # what float16 cannot hold of 2^15 G (kernels/fused/signatures.py: GRAD_SCALE)
            flushed = torch.finfo(operands).tiny * torch.finfo(operands).eps * 2.0**-15
        else:
            flushed = 0
        g = g / (2 * n)
        moved = scale * (g * (e + products) + flushed / (2 * n))
        value = value + (g * e).sum() / 2  # each row of G has its 1 - p twice
        d_image, d_text = d_image + moved.sum(1), d_text + moved.sum(0)
        d_scale = d_scale + (g * s.abs() * e).sum() + scale * g.sum() * products
    return value, d_image / image.norm(dim=1), d_text / text.norm(dim=1), d_scale


def assert_within(got, true, bounds):
    """(value, d image, d text, d logit_scale) are within `loss_bounds` of the truth in float64."""
    for name, mine, theirs, bound in zip(("value", "image", "text", "scale"), got, true, bounds):
        assert torch.isfinite(mine).all(), f"{name}: {mine}"
        mine, theirs, stored = mine.double().cpu(), theirs.double(), mine.dtype
        if mine.ndim == 2:
            zero = torch.isinf(bound)
            assert not mine[zero].any(), f"{name}: a zero row must have zero gradient"
            error, size = (mine - theirs).norm(dim=1)[~zero], theirs.norm(dim=1)[~zero]
            bound = bound[~zero]
        else:
            error, size = (mine - theirs).abs().reshape(-1), theirs.abs().reshape(-1)
        # what comes out is rounded once more, or flushed to zero below the smallest normal number
        flushed = torch.finfo(stored).tiny * (mine.shape[-1] if mine.ndim == 2 else 1) ** 0.5
        allowed = bound + rounding(stored) * size + flushed
        worst = (error / allowed).max().item() if len(error) else 0.0
        assert worst <= 1, f"{name}: {worst:.1f} times what rounding can do"


def tower_error(tower, dtype):
    """The relative error of the features of a network in dtype, two computations against each other.

    Every matrix product sums as many products as a row of its weights has, and normalization layers
    keep an error's relative size from growing, so the roundings of all layers simply add up.
    """
    fan_in = sum(p[0].numel() for p in tower.parameters() if p.ndim >= 2)
    return rounding(dtype, 2 * fan_in)
