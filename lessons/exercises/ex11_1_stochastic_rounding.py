"""11  Rounding at random. Read lessons/11_recipe.md, then make this file green.

    pytest lessons/exercises/ex11_1_stochastic_rounding.py -x

bfloat16 is the upper half of a float32: x.view(torch.int32) shows the bits, and back again.
"""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

ANSWER = "miniclip.training.optimizer:stochastic_round"
HINT = (
    "Add a random whole number below 2**16 to the bits of x, then set the lower 16 bits to zero: how "
    "often does the sum carry into the upper half? Infinity and NaN have bits too."
)


def stochastic_round(x, generator=None):
    """x to bfloat16, to one of its two neighbours at random, so that the mean of many draws is x.

    x: float32, any shape. Exact where bfloat16 holds x. generator: of x's device, None for the
    default one. Infinities and NaN stay. bfloat16's largest number is 3.39e38, and its upper
    neighbour infinity.
    """
    raise NotImplementedError  # about 4 lines


floats = st.floats(width=32, allow_nan=False, allow_infinity=False)


def draws(value, count, seed=0):
    return stochastic_round(torch.full((count,), value), torch.Generator().manual_seed(seed))


def neighbours(value):
    """The bfloat16 between zero and value that is nearest to value, and the next one away."""
    bits = torch.tensor([value]).view(torch.int32) & -(2**16)
    return [(bits + step).view(torch.float32).item() for step in (0, 2**16)]


@given(floats, st.integers(0, 99))
def test_it_gives_bfloat16_and_one_of_the_two_neighbours(value, seed):
    rounded = draws(value, 64, seed)
    assert rounded.dtype == torch.bfloat16, f"the result is {rounded.dtype}, not bfloat16"
    found = sorted(set(rounded.tolist()))
    assert set(found) <= set(neighbours(value)), (
        f"{value} became {found}, but {neighbours(value)} are its neighbours"
    )


@given(floats, st.integers(0, 99))
def test_what_bfloat16_holds_is_not_moved(value, seed):
    held = torch.tensor(value).bfloat16()
    if held.isfinite():
        found = sorted(set(draws(held.item(), 64, seed).tolist()))
        assert found == [held.item()], f"{held.item()} is a bfloat16, but became {found}"


@pytest.mark.parametrize("value", [1.001, -1.003, 0.9999, 3e-5, -7.77e20, 1e-39])
def test_the_mean_of_many_draws_is_the_value(value):
    value = torch.tensor(value).item()
    low, high = neighbours(value)
    share = (draws(value, 40_000).double() - low).mean().item() / (high - low)
    want = (value - low) / (high - low)  # the probability of the neighbour farther from zero
    error = math.sqrt(want * (1 - want) / 40_000)
    assert abs(share - want) <= 5 * error, (
        f"{share:.3f} of the draws of {value} went away from zero, but {want:.3f} would make their mean right: "
        "the probability is that of lesson 11, section 'Weights and moments'"
    )


def test_the_noise_is_the_generator_s_and_the_global_one_is_not_used():
    before = torch.get_rng_state()
    first, again, other = draws(1.001, 999, 1), draws(1.001, 999, 1), draws(1.001, 999, 2)
    assert torch.equal(first, again), "the same seed gave other draws"
    assert not torch.equal(first, other), "another seed gave the same draws"
    assert torch.equal(torch.get_rng_state(), before), "torch's global generator was used"


def test_infinities_and_nan_stay_what_they_are():
    x = torch.tensor([math.inf, -math.inf, 0.0]).repeat(1000)
    assert torch.equal(stochastic_round(x).float(), x), "an infinity or a zero has changed"
    nan = torch.tensor([0x7F800001, 0x7FFFFFFF, -1], dtype=torch.int32).view(torch.float32)
    assert stochastic_round(nan.repeat(1000)).isnan().all(), "a NaN has become a number"


def test_any_shape_comes_back():
    for shape in [(), (0,), (3, 1, 2)]:
        found = tuple(stochastic_round(torch.ones(shape)).shape)
        assert found == shape, f"shape {shape} came back as {found}"
