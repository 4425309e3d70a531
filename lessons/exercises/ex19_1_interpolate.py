"""19  The weights between two models.  Read lessons/19_finetuning.md, then make this file green.

A state dict holds weights, the averages of batch norms, and their counters of batches, which are
whole numbers.
"""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

ANSWER = "miniclip.weights.average:interpolate"
HINT = """Go through the tensors by their kind: which of them are whole numbers? For the others,
torch.lerp(a, b, alpha) is exact at both ends, and where a and b are the same."""


def interpolate(start, tuned, alpha):
    """The state dict (1 - alpha) * start + alpha * tuned of two of the same names and shapes.

    alpha from 0, exactly start, to 1, exactly tuned. Numbers on which the two agree stay exactly as
    they are, for any alpha (a frozen tower). Whole numbers, which count batches, are not averaged:
    they are those of the nearer one, tuned at 0.5. Neither argument is changed.
    """
    raise NotImplementedError  # about 6 lines


def state_of(seed):
    """A state dict as a ResNet's, but small: a weight, a batch norm that has seen 10 + seed batches,
    and the scale."""
    generator = torch.Generator().manual_seed(seed)
    return {
        "visual.conv1.weight": torch.randn(8, 3, 3, 3, generator=generator),
        "visual.bn1.running_mean": torch.randn(8, generator=generator),
        "visual.bn1.running_var": torch.rand(8, generator=generator) + 0.1,
        "visual.bn1.num_batches_tracked": torch.tensor(10 + seed),
        "logit_scale": torch.tensor(1.0 + seed),
    }


@pytest.fixture
def states():
    return state_of(0), state_of(2)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_at_the_ends_it_is_exactly_one_of_the_two(states, alpha):
    end = states[int(alpha)]
    found = interpolate(*states, alpha)
    assert found.keys() == end.keys(), "every tensor of the state dict is needed, buffers too"
    for name, x in end.items():
        assert torch.equal(found[name], x), (
            f"alpha {alpha:g} must give back {('start', 'tuned')[int(alpha)]} to the bit: {name}"
        )


@given(st.floats(0, 1))
def test_each_number_is_between_the_two_by_alpha(alpha):
    start, tuned = state_of(0), state_of(2)
    found = interpolate(start, tuned, alpha)
    for name, x in start.items():
        if x.is_floating_point():
            wanted = (1 - alpha) * x.double() + alpha * tuned[name].double()
            torch.testing.assert_close(
                found[name],
                wanted.float(),
                msg=f"{name} is not (1 - {alpha:g}) start + {alpha:g} tuned, element by element",
            )


def test_batch_norms_averages_are_averaged_as_weights_are(states):
    name = "visual.bn1.running_var"
    middle = interpolate(*states, 0.5)[name]
    wanted = (states[0][name] + states[1][name]) / 2
    torch.testing.assert_close(middle, wanted, msg="running_var: halfway between the two, at 0.5")


def test_the_scale_is_averaged_as_the_logarithm_that_is_stored(states):
    middle = interpolate(*states, 0.5)["logit_scale"]
    assert middle.item() == pytest.approx(2.0), (
        f"logit_scale halfway from 1 to 3 is 2, not {middle:.3f}: it is a logarithm already"
    )


@pytest.mark.parametrize("alpha, whose", [(0.49, 0), (0.5, 1), (0.9, 1)])
def test_counters_are_those_of_the_nearer_model(states, alpha, whose):
    name = "visual.bn1.num_batches_tracked"
    found = interpolate(*states, alpha)[name]
    assert found.dtype == torch.int64, f"a counter is a whole number, not {found.dtype}"
    assert found == states[whose][name], (
        f"at {alpha:g} the counter is {found.item()}, want the nearer one's {states[whose][name]}"
    )


@given(st.floats(0, 1))
def test_what_both_models_share_stays_the_same_to_the_bit(alpha):
    start = state_of(0)
    found = interpolate(start, copy.deepcopy(start), alpha)
    for name, x in start.items():
        assert torch.equal(found[name], x), (
            f"{name} is the same in both, as in a frozen tower, and must stay so at {alpha:g}"
        )


def test_neither_model_is_changed(states):
    before = copy.deepcopy(states)
    for x in interpolate(*states, 0.3).values():
        x.zero_()  # what is returned must not be the arguments' own memory
    for old, now in zip(before, states):
        for name, x in old.items():
            assert torch.equal(x, now[name]), f"{name} of an argument was changed"
