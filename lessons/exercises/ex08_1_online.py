"""08  Online softmax. Read lessons/08_forward.md, then make this file green."""

import torch
from hypothesis import given
from hypothesis import strategies as st

ANSWER = "kernels.softmax:absorb"
LOWEST = -1e38  # "no maximum yet"


def absorb(highest, z, s):
    """Online softmax: add a further tile to the sums so far.

    highest, z: (R,), the largest element so far (LOWEST at the start) and the sum of 2^(S -
    highest). s: (R, C), the tile, in bits; an element of -inf adds nothing. Returns the new
    (highest, z).
    """
    raise NotImplementedError  # about 2 lines


sizes, seeds = st.integers(1, 12), st.integers(0, 10**6)


def numbers(*shape, seed, spread):
    return spread * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def close(got, true, why, **tolerance):
    torch.testing.assert_close(got, true, **tolerance, msg=lambda m: f"{why}: {m}")


def start(rows):
    return torch.full((rows,), LOWEST), torch.zeros(rows)


def logsum(highest, z):
    return highest.double() + z.double().log2()


@given(sizes, sizes, seeds, st.floats(0.1, 1000))
def test_one_tile_is_a_logsumexp(rows, columns, seed, spread):
    s = numbers(rows, columns, seed=seed, spread=spread)
    highest, z = absorb(*start(rows), s)
    assert torch.equal(highest, s.amax(1)), "highest is not the row's maximum"
    assert (z >= 1).all() and (z <= columns).all(), (
        f"{columns} elements add up to 1 to {columns}: {z}"
    )
    true = s.amax(1).double() + torch.exp2(s.double() - s.amax(1, keepdim=True)).sum(1).log2()
    # float32: z is a sum of up to 12 exponentials, some 15 roundings of up to 6e-8 of it (1.3e-6 bits)
    close(
        logsum(highest, z), true, "highest + log2(z) is not the row's log2-sum", rtol=0, atol=2e-6
    )


@given(sizes, st.integers(2, 12), seeds, st.data())
def test_two_tiles_are_one_wide_tile_in_either_order(rows, columns, seed, data):
    s = numbers(rows, columns, seed=seed, spread=100)
    cut = data.draw(st.integers(1, columns - 1))
    whole = absorb(*start(rows), s)
    forth = absorb(*absorb(*start(rows), s[:, :cut]), s[:, cut:])
    back = absorb(*absorb(*start(rows), s[:, cut:]), s[:, :cut])
    for (highest, z), order in ((forth, "the left tile first"), (back, "the right tile first")):
        close(highest, whole[0], f"{order}: highest")
        close(z, whole[1], f"{order}: z")


@given(sizes, sizes, seeds)
def test_masked_elements_add_nothing(rows, columns, seed):
    s = numbers(rows, columns, seed=seed, spread=10)
    so_far = absorb(*start(rows), s)
    again = absorb(*so_far, torch.full((rows, 3), -torch.inf))
    assert torch.equal(so_far[0], again[0]), "a tile of -inf changed highest"
    assert torch.equal(so_far[1], again[1]), "a tile of -inf changed z"


def test_only_masked_elements_are_an_empty_sum():
    highest, z = absorb(*start(2), torch.full((2, 5), -torch.inf))
    assert (z == 0).all() and (highest == LOWEST).all(), f"not an empty sum: {highest}, {z}"


@given(seeds)
def test_very_large_and_very_small_similarities_stay_finite(seed):
    s = numbers(4, 6, seed=seed, spread=1)
    for far in (-5000.0, 5000.0):
        highest, z = absorb(*start(4), s + far)
        assert torch.isfinite(highest).all(), f"at {far:+.0f} bits highest is not finite"
        assert torch.isfinite(z).all() and (z >= 1).all(), f"at {far:+.0f} bits z is {z}"


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_one_tile_is_a_logsumexp": (
        "At the start highest is LOWEST and z is 0. What are highest and z of the row 1, 3, 1?",
        "highest is the largest element of each row, and z adds up powers of 2, each less the highest of "
        "its own row (lesson 08, 'A running maximum').",
        "new = torch.maximum(highest, s.amax(1)), and the tile adds torch.exp2(s - new[:, None]).sum(1).",
    ),
    "test_two_tiles_are_one_wide_tile_in_either_order": (
        "In the drawing the second element is larger than the first. What happens to the sum so far?",
        "Sums with different maxima cannot be added. The old sum holds 2^(S - highest) and has to hold "
        "2^(S - new), and new is the larger of the old highest and the tile's (lesson 08, 'A running maximum').",
        "z * torch.exp2(highest - new), before the tile's sum is added.",
    ),
    "test_masked_elements_add_nothing": (
        "What is the largest element of a tile of -inf, and may it become `highest`?",
        "A tile of -inf must leave both numbers as they were: the maximum of highest and -inf is highest.",
        "new = torch.maximum(highest, s.amax(1))",
    ),
    "test_only_masked_elements_are_an_empty_sum": (
        "What is -inf - (-inf)?",
        "highest starts at LOWEST, a finite number, so that no difference is NaN. Do not replace it.",
        "new = torch.maximum(highest, s.amax(1)); then s - new is -inf, and its power is 0.",
    ),
    "test_very_large_and_very_small_similarities_stay_finite": (
        "Which powers do you take before the maximum has been subtracted?",
        "No exponent may be above 0: each is an element less the highest element of its row, old or new.",
        "torch.exp2(s - new[:, None]) and torch.exp2(highest - new)",
    ),
}
DIFFERS = (
    "These two lines are the library's too. On a GPU online_kernel in kernels/fused/forward.py does the same "
    "to a tile in registers, for the rows whose sum cannot be trusted."
)
