"""The schedule rises and falls; gains, biases and the scale are not decayed."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniclip import MODELS, create_model
from miniclip.training.recipe import parameter_groups, recipe, schedule


@pytest.mark.parametrize(
    "warmup, shares",
    [
        (0.1, {0.0: 0.0, 0.05: 0.5, 0.1: 1.0, 0.55: 0.5, 1.0: 0.0}),
        (0, {0: 1, 1: 0}),  # a run without warm-up starts at the peak
        (1, {0.5: 0.5, 1: 1}),  # one of warm-up ends there
        (0.95, {0.975: 0.5, 1: 0}),
    ],
)
def test_the_schedule_warms_up_and_falls_to_zero(warmup, shares):
    for progress, share in shares.items():
        assert schedule(progress, warmup) == pytest.approx(share), progress


def test_gains_biases_and_the_scale_are_not_decayed():
    model = create_model("vit_mini", vocab_size=600)
    decayed, free = parameter_groups(model, 0.2)
    names = {id(p): name for name, p in model.named_parameters()}
    assert decayed["weight_decay"] == 0.2 and free["weight_decay"] == 0
    loose = {names[id(p)] for p in free["params"]}
    assert "logit_scale" in loose and "ln_final.weight" in loose
    assert all(
        names[id(p)].split(".")[-1] not in ("bias", "logit_scale") for p in decayed["params"]
    )
    assert len(decayed["params"]) + len(free["params"]) == len(names)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_the_rate_stays_in_0_to_1_and_only_falls_after_the_warm_up(a, b, warmup):
    low, high = sorted((a, b))
    assert 0 <= schedule(low, warmup) <= 1
    if low >= warmup:
        assert schedule(high, warmup) <= schedule(low, warmup) + 1e-12
    elif high < warmup:
        assert schedule(low, warmup) <= schedule(high, warmup)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_the_numbers_of_a_recipe(name):
    numbers = recipe(name)
    larger = name.startswith("rn_icons") or (name.startswith("vit_") and "mini" not in name)
    assert numbers["eps"] == (1e-6 if larger else 1e-8)
    assert 0 < numbers["lr"] < 0.01 and math.isfinite(numbers["epochs"])
