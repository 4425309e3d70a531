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


def stochastic_round(x, generator=None):
    """Round x to bfloat16: up or down at random, so that the mean of many draws is x.

    x: float32, any shape. Numbers that bfloat16 can represent, infinities and NaN are not changed.
    A finite number beyond 3.39e38, which is bfloat16's largest, may become infinity. generator: a
    torch.Generator on x's device, or None for the default generator. Raises UserError for another
    dtype.
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
def test_what_bfloat16_holds_is_not_moved(value, seed):
    held = torch.tensor(value).bfloat16()
    if held.isfinite():
        found = sorted(set(draws(held.item(), 64, seed).tolist()))
        assert found == [held.item()], f"{held.item()} is a bfloat16, but became {found}"


@given(floats, st.integers(0, 99))
def test_it_gives_bfloat16_and_one_of_the_two_neighbours(value, seed):
    rounded = draws(value, 64, seed)
    assert rounded.dtype == torch.bfloat16, f"the result is {rounded.dtype}, not bfloat16"
    found = sorted(set(rounded.tolist()))
    assert set(found) <= set(neighbours(value)), (
        f"{value} became {found}, but {neighbours(value)} are its neighbours"
    )


@pytest.mark.parametrize("value", [1.006, -1.005, 0.9985])
def test_a_number_between_two_neighbours_goes_to_both(value):
    found = sorted(set(draws(value, 2000).tolist()))
    assert len(found) == 2, (
        f"2000 draws of {value} all became {found[0]}: each goes to one of two neighbours, by a toss of its own"
    )


@pytest.mark.parametrize("value", [1.001, -1.003, 0.9999, 3e-5, -7.77e20, 1e-39])
def test_the_mean_of_many_draws_is_the_value(value):
    value = torch.tensor(value).item()
    low, high = neighbours(value)
    share = (draws(value, 40_000).double() - low).mean().item() / (high - low)
    want = (value - low) / (high - low)  # the probability of the neighbour farther from zero
    error = math.sqrt(want * (1 - want) / 40_000)
    assert abs(share - want) <= 5 * error, (
        f"{share:.3f} of the draws of {value} went away from zero, but {want:.3f} would make their mean right: "
        "see lesson 11, section 'Weights and averages in sixteen bits'"
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


# Shown when all laws are green: what the library does differently.


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_what_bfloat16_holds_is_not_moved": (
        "What are the lower 16 bits of a number that bfloat16 can hold, and what have you done to them?",
        "Such a number has only zeros in its lower half. If noise is still there when you convert, the "
        "conversion rounds a second time, to nearest (section 'Weights and averages in sixteen bits').",
        "Clear the lower half before the conversion: bits & -(2**16), then view(torch.float32).bfloat16().",
    ),
    "test_it_gives_bfloat16_and_one_of_the_two_neighbours": (
        "Look at the bits of your result, as an int32: which of them may differ from the bits of x?",
        "Only the upper half may change, and by one at most. The noise is added to the bits as a whole "
        "number, and not to the value, because neighbours are not equally far apart everywhere.",
        "bits = x.view(torch.int32) + (noise from 0 to 2**16 - 1), then clear the lower 16 bits.",
    ),
    "test_a_number_between_two_neighbours_goes_to_both": (
        "How often do you draw a random number, and for how many elements of x is it?",
        "Rounding to nearest and cutting always give one of the two. Each element needs noise of its own, "
        "or all of them go the same way.",
        "noise = torch.randint(0, 2**16, x.shape, dtype=torch.int32, device=x.device, generator=generator)",
    ),
    "test_the_mean_of_many_draws_is_the_value": (
        "With which probability does your result go away from zero, and which part of x should decide it?",
        "The lower 16 bits, divided by 2**16, say how far x is on its way to the farther neighbour, and "
        "that is the probability. If you add noise to these bits, when does the sum carry over?",
        "The noise is equally likely to be any whole number from 0 to 2**16 - 1, neither more nor fewer.",
    ),
    "test_the_noise_is_the_generator_s_and_the_global_one_is_not_used": (
        "Where does your noise come from?",
        "A function such as torch.randint draws from the global generator unless it is given another one.",
        "noise = torch.randint(..., generator=generator), on the device of x.",
    ),
    "test_infinities_and_nan_stay_what_they_are": (
        "Which bits has infinity, and what are they after noise was added?",
        "Infinity has an exponent of ones and a fraction of zeros; NaN has the same exponent and another "
        "fraction. So adding noise turns one into the other, and NaN even into a number when it carries.",
        "torch.where(x.isfinite(), what you have rounded, x), before the conversion to bfloat16.",
    ),
    "test_any_shape_comes_back": (
        "What shape has your noise?",
        "Noise of the shape of x keeps the shape, also where x has no dimension or no element.",
        "torch.randint(0, 2**16, x.shape, ...), and no flatten or reshape.",
    ),
}
DIFFERS = (
    "The noise that the library adds carries into the upper half with the right probability by itself, so "
    "it compares nothing and computes no neighbours. It works across powers of two as well, where the "
    "carry changes the exponent, and it treats infinities and NaN apart, because they would change."
)
