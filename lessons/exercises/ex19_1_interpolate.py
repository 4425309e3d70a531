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


def interpolate(start: dict, tuned: dict, alpha: float) -> dict:
    """The state dict (1 - alpha) * start + alpha * tuned.

    start, tuned: state dicts with the same names and shapes. They are not changed. alpha: 0 gives
    exactly start, and 1 exactly tuned.

    A number that is the same in start and in tuned, as all numbers of a frozen tower are, is
    exactly this number in the average too, for any alpha. Whole numbers, which count batches, are
    not averaged: if alpha is below 0.5 they are taken from start, and otherwise from tuned. Raises
    UserError if alpha is not from 0 to 1.
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


def test_every_tensor_of_the_state_dict_is_there(states):
    found = interpolate(*states, 0.3)
    missing = states[0].keys() - found.keys()
    assert not missing, f"every tensor of the state dict is needed, buffers too: no {missing}"


def test_neither_model_is_changed(states):
    before = copy.deepcopy(states)
    for x in interpolate(*states, 0.3).values():
        x.zero_()  # what is returned must not be the arguments' own memory
    for old, now in zip(before, states):
        for name, x in old.items():
            assert torch.equal(x, now[name]), (
                f"{name} of an argument has changed. Either you wrote into it, or your result shares its "
                "memory: this law writes zeros into the result."
            )


@pytest.mark.parametrize("alpha, whose", [(0.49, 0), (0.5, 1), (0.9, 1)])
def test_counters_are_those_of_the_nearer_model(states, alpha, whose):
    name = "visual.bn1.num_batches_tracked"
    found = interpolate(*states, alpha)[name]
    assert found.dtype == torch.int64, f"a counter is a whole number, not {found.dtype}"
    assert found == states[whose][name], (
        f"at {alpha:g} the counter is {found.item()}, want the nearer one's {states[whose][name]}"
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


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_at_the_ends_it_is_exactly_one_of_the_two(states, alpha):
    end = states[int(alpha)]
    found = interpolate(*states, alpha)
    for name, x in end.items():
        assert torch.equal(found[name], x), (
            f"alpha {alpha:g} must give back {('start', 'tuned')[int(alpha)]} to the bit: {name}"
        )


@given(st.floats(0, 1))
def test_what_both_models_share_stays_the_same_to_the_bit(alpha):
    start = state_of(0)
    found = interpolate(start, copy.deepcopy(start), alpha)
    for name, x in start.items():
        assert torch.equal(found[name], x), (
            f"{name} is the same in both, as in a frozen tower, and must stay so at {alpha:g}"
        )


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_every_tensor_of_the_state_dict_is_there": (
        "Which names are missing? Are they weights?",
        "A state dict holds weights and also what batch norms remember. A model cannot be loaded without any of "
        "them (lesson 19, 'What is in a state dict?').",
        "for name, first in start.items(): ..., without leaving out a name",
    ),
    "test_neither_model_is_changed": (
        "Does your result share memory with an argument?",
        "A function whose name ends in an underscore writes into its tensor. And a tensor of an argument that you "
        "return as it is still belongs to the argument.",
        "Return new tensors: x.clone() for what is taken over, and no first.lerp_(...).",
    ),
    "test_counters_are_those_of_the_nearer_model": (
        "What is half of 10 batches and 12 batches? And what is its dtype?",
        "Whole numbers are not averaged. Below 0.5 they are those of start, from 0.5 on those of tuned.",
        "if not first.is_floating_point(): (first if alpha < 0.5 else tuned[name]).clone()",
    ),
    "test_batch_norms_averages_are_averaged_as_weights_are": (
        "Are running means and variances fractions or whole numbers?",
        "They are averaged like weights, although that is only an approximation: lesson 19, 'What is in a state "
        "dict?'.",
        "Only the dtype decides what is averaged, and no name does.",
    ),
    "test_the_scale_is_averaged_as_the_logarithm_that_is_stored": (
        "Is there an exp or a log in your function?",
        "`logit_scale` is stored as a logarithm and averaged as it is stored, so it needs no special case.",
        "Treat logit_scale like every other tensor with fractions.",
    ),
    "test_each_number_is_between_the_two_by_alpha": (
        "With alpha = 0, which model do you get?",
        "alpha is the share of the tuned model, and 1 - alpha that of the start.",
        "torch.lerp(first, tuned[name], alpha), in this order",
    ),
    "test_at_the_ends_it_is_exactly_one_of_the_two": (
        "Compute a + 1 * (b - a) for a = 1e8 and b = 1 in float32. Do you get b?",
        "At alpha = 1 the result must be tuned to the bit. A difference of two floats is rounded, so start plus the "
        "whole difference may miss tuned by a little.",
        "torch.lerp(first, tuned[name], alpha) is exact at both ends.",
    ),
    "test_what_both_models_share_stays_the_same_to_the_bit": (
        "Is (1 - alpha) * x + alpha * x always x?",
        "Each of the two products is rounded, so their sum may differ from x in the last bit. A frozen tower must "
        "stay as it is.",
        "torch.lerp(first, tuned[name], alpha) works with the difference, which is 0 here.",
    ),
}
DIFFERS = (
    "The library's function is one dict. torch.lerp changes its formula at 0.5: below, it starts from the first tensor, and "
    "above from the second one, so it is exact at both ends and where the two agree. The two obvious formulas are "
    "not: one fails at alpha = 1, the other on a frozen tower."
)
