"""Moments of 16 bits: the rounding is right on average, and training ends where AdamW's does."""

import copy
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from miniclip.training.optimizer import HalfAdamW, load_optimizer, stochastic_round
from tests.shared import must_refuse

pytestmark = pytest.mark.numerics

floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
seeds = st.integers(0, 2**31)


def draws(value, count, seed=0):
    return stochastic_round(torch.full((count,), value), torch.Generator().manual_seed(seed))


def neighbours(value):
    """The largest bfloat16 that is not farther from zero than value, and the next one away."""
    bits = torch.tensor([value]).view(torch.int32) & -(2**16)
    return [(bits + step).view(torch.float32).item() for step in (0, 2**16)]


@given(floats | floats.map(lambda x: torch.tensor(x).bfloat16().item()), seeds)
def test_rounding_gives_one_of_the_two_neighbours_and_moves_nothing_that_bfloat16_holds(
    value, seed
):
    held, away = neighbours(value)
    assert set(draws(value, 64, seed).tolist()) <= ({held} if held == value else {held, away})


@given(st.floats(1e-30, 1e30), st.sampled_from([1, -1]), st.integers(0, 99))
def test_the_mean_of_many_draws_is_the_value(size, sign, seed):
    value = torch.tensor(sign * size).item()
    low, high = neighbours(value)
    share = (draws(value, 40_000, seed).double() - low).mean().item() / (high - low)
    want = (value - low) / (high - low)  # the probability of the one farther from zero
    error = math.sqrt(want * (1 - want) / 40_000)
    assert abs(share - want) <= 5 * error, f"{share:.4f}, want {want:.4f} within {error:.4f}"


def test_infinities_and_nan_stay_what_they_are():
    x = torch.tensor([math.inf, -math.inf, math.nan, 0.0, -0.0]).repeat(100)
    nan = torch.tensor([0x7F800001, 0x7FFFFFFF, -1], dtype=torch.int32).view(torch.float32)
    rounded = stochastic_round(x)
    assert torch.equal(rounded.float().nan_to_num(nan=7), x.nan_to_num(nan=7))
    assert stochastic_round(nan).isnan().all()


def trained(model, optimizer, steps):
    """Take these steps, each with a batch of its own."""
    for step in steps:
        x = torch.randn(16, 8, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def fresh():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))


def groups(model):
    weights, biases = [model[0].weight, model[2].weight], [model[0].bias, model[2].bias]
    return [dict(params=weights, weight_decay=0.3), dict(params=biases, weight_decay=0.0)]


def test_the_noise_of_a_step_is_that_of_a_generator_with_the_sum_of_seed_and_step():
    """So a run that is resumed with another version goes on with the same numbers."""
    p = torch.zeros(500, requires_grad=True)
    optimizer, (mean, square) = HalfAdamW([p], betas=(0.75, 0.5), seed=5), torch.zeros(2, 500)
    for step in (1, 2, 3):
        p.grad = torch.randn(500, generator=torch.Generator().manual_seed(step))
        optimizer.step()
        noise = torch.Generator().manual_seed(5 + step)
        mean = stochastic_round(mean + (p.grad - mean) / 4, noise).float()
        square = stochastic_round((square + p.grad * p.grad) / 2, noise).float()
        for name, wanted in (("exp_avg", mean), ("exp_avg_sq", square)):
            found = optimizer.state[p][name].float()
            # where the average's last bit differs in float32 the rounding may go the other way
            assert (found != wanted).float().mean() < 0.01, f"{name} at step {step}"


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.9)])
def test_forty_steps_end_where_adamw_s_do(betas):
    ways = []
    for make in (HalfAdamW, torch.optim.AdamW):
        model = fresh()
        trained(model, make(groups(model), lr=3e-3, betas=betas), range(40))
        ways.append(weights(model) - weights(fresh()))
    error = (ways[0] - ways[1]).norm() / ways[1].norm()
    # one moment rounded to bfloat16 is off by 2^-9 or so, and the way is the sum of 40 steps
    assert 0 < error < 0.01, f"{error:.1e} of the way"


def test_a_resumed_run_ends_with_the_same_bits(tmp_path):
    whole, other, part = fresh(), fresh(), fresh()
    trained(whole, HalfAdamW(groups(whole), seed=5), range(7))
    trained(other, HalfAdamW(groups(other), seed=6), range(7))
    optimizer = HalfAdamW(groups(part), seed=5)
    trained(part, optimizer, range(3))
    torch.save([part.state_dict(), optimizer.state_dict()], tmp_path / "saved.pt")
    torch.randn(99)  # new objects, and global random numbers that moved on
    held, moments = torch.load(tmp_path / "saved.pt", weights_only=True)
    part = fresh()
    part.load_state_dict(held)
    optimizer = HalfAdamW(groups(part))
    optimizer.load_state_dict(moments)
    trained(part, optimizer, range(3, 7))
    assert torch.equal(weights(whole), weights(part))
    assert not torch.equal(weights(whole), weights(other)), "the seed changes nothing"


def test_the_moments_take_four_bytes_a_parameter_and_no_global_random_numbers():
    model = fresh()
    optimizer = HalfAdamW(model.parameters())
    before = torch.get_rng_state()
    trained(model, optimizer, range(2))
    assert torch.equal(torch.get_rng_state(), before)
    values = [value for state in optimizer.state.values() for value in state.values()]
    count = sum(p.numel() for p in model.parameters())
    assert sum(x.numel() * x.element_size() for x in values if torch.is_tensor(x)) == 4 * count


def test_it_goes_on_from_the_moments_of_adamw():
    exact, half = fresh(), fresh()
    optimizers = torch.optim.AdamW(groups(exact)), HalfAdamW(groups(half))
    trained(exact, optimizers[0], range(4))
    half.load_state_dict(exact.state_dict())
    optimizers[1].load_state_dict(optimizers[0].state_dict())
    for model, optimizer in zip((exact, half), optimizers):
        trained(model, optimizer, [4])
    # the moments have been rounded to nearest, each by at most 2^-9
    step = (weights(exact) - weights(half)).abs().max()
    assert step <= 2 * 2**-9 * 1e-3 * 4, f"{step:.1e} apart after a step of about 1e-3"


@pytest.mark.parametrize(
    "odd",
    [
        {"lr": -1.0},
        {"lr": math.nan},
        {"eps": math.nan},
        {"eps": -1},
        {"betas": (0.9, 1.0)},
        {"weight_decay": -1},
        {"lr": "1e-3"},
        {"lr": math.inf},
        {"betas": (0.9,)},
        {"seed": 1.5},
        {"seed": 2**64},
    ],
)
def test_odd_options_are_refused_also_in_a_group(odd):
    """torch's AdamW also takes some of them."""
    must_refuse("HalfAdamW|finite", HalfAdamW, fresh().parameters(), **odd)
    must_refuse("HalfAdamW|finite", HalfAdamW, [dict(params=fresh().parameters(), **odd)])


def test_a_step_refuses_what_was_changed_meanwhile():
    model = fresh()
    optimizer = HalfAdamW(model.parameters())
    model.half()
    must_refuse("float32", optimizer.step)
    model.float()
    for name, odd in (("lr", math.nan), ("lr", "0.1"), ("betas", (1.0, 0.9)), ("eps", -1)):
        optimizer = HalfAdamW(model.parameters())
        optimizer.param_groups[0][name] = odd
        must_refuse("HalfAdamW|finite", optimizer.step)


@pytest.mark.parametrize("odd", [{"maximize": True}, {"amsgrad": True}])
def test_options_of_adamw_that_would_be_ignored_are_refused(odd):
    model = fresh()
    ours, theirs = HalfAdamW(model.parameters()), torch.optim.AdamW(model.parameters(), **odd)
    trained(model, theirs, range(2))
    for do, state in (
        (ours.load_state_dict, theirs.state_dict()),
        (HalfAdamW, theirs.param_groups),
    ):
        must_refuse("HalfAdamW has no", do, state)
    must_refuse(
        "HalfAdamW has no", ours.load_state_dict, torch.optim.Adam(model.parameters()).state_dict()
    )


def test_moments_in_another_order_are_refused():
    a, b = (torch.nn.Parameter(torch.ones(shape)) for shape in ((3, 4), (4,)))
    optimizer = HalfAdamW([a, b])
    (a.sum() + b.sum()).backward()
    optimizer.step()
    must_refuse("other shapes", HalfAdamW([b, a]).load_state_dict, optimizer.state_dict())


def test_sparse_gradients_are_refused_and_nothing_is_changed():
    words = torch.nn.Embedding(5, 3, sparse=True)
    optimizer, before = HalfAdamW(words.parameters()), words.weight.detach().clone()
    words(torch.tensor([1])).sum().backward()
    must_refuse("dense gradients", optimizer.step)
    assert torch.equal(words.weight, before) and optimizer.param_groups[0]["calls"] == 0


def test_a_parameter_without_elements_is_loaded():
    empty, full = torch.empty(0, 4, requires_grad=True), torch.ones(2, requires_grad=True)
    optimizer = HalfAdamW([empty, full])
    (empty.sum() + full.sum()).backward()
    optimizer.step()
    again = HalfAdamW([empty, full])
    load_optimizer(again, optimizer.state_dict(), 1)
    torch.testing.assert_close(again.state_dict(), optimizer.state_dict())


@pytest.mark.parametrize("other", [torch.optim.RMSprop, torch.optim.SGD, torch.optim.Adagrad])
def test_the_state_of_another_optimizer_is_refused_and_the_old_state_stays(other):
    model = fresh()
    ours, theirs = HalfAdamW(model.parameters()), other(model.parameters())
    for optimizer in (ours, theirs):
        trained(model, optimizer, range(2))
    before = copy.deepcopy(ours.state_dict())
    lists = json.loads(json.dumps(before, default=torch.Tensor.tolist))
    for state in (theirs.state_dict(), {}, lists):
        for load in (ours.load_state_dict, lambda state: load_optimizer(ours, state, 2)):
            must_refuse("not the state of an AdamW", load, state)
    torch.testing.assert_close(ours.state_dict(), before)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_weights_of_16_bits_which_would_round_small_steps_away_are_refused(dtype):
    must_refuse("float32 parameters", HalfAdamW, fresh().to(dtype).parameters())


def test_a_seed_of_numpy_becomes_one_of_python():
    optimizer = HalfAdamW([torch.nn.Parameter(torch.ones(3))], seed=np.uint8(255))
    assert type(optimizer.param_groups[0]["seed"]) is int
