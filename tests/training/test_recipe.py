"""The schedule rises and falls; gains, biases and the scale are not decayed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniclip import create_model
from miniclip.training.freeze import freeze, tower_of
from miniclip.training.recipe import fine_tuning, parameter_groups, recipe, schedule


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


def test_a_released_model_has_its_recipe_by_openai_s_name_too():
    for name, same in (("ViT-L/14", "vit_l14"), ("RN50x16", "rn50x16")):
        assert recipe(name) == recipe(same) and fine_tuning(name) == fine_tuning(same)
    assert recipe("ViT-L/14")["lr"] == 4e-4


@pytest.mark.parametrize("tower", [None, "image", "text"])
def test_only_matrices_are_decayed_and_a_frozen_tower_is_left_out(tower):
    model = create_model("rn_mini", vocab_size=600)
    freeze(model, tower)
    names = {id(p): name for name, p in model.named_parameters()}
    found = {
        names[id(p)]: group["weight_decay"]
        for group in parameter_groups(model, 0.2)
        for p in group["params"]
    }
    learn = {n: p for n, p in model.named_parameters() if tower is None or tower_of(n) != tower}
    assert found == {name: 0.2 if p.ndim > 1 else 0 for name, p in learn.items()}


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_the_rate_stays_in_0_to_1_and_only_falls_after_the_warm_up(a, b, warmup):
    low, high = sorted((a, b))
    assert 0 <= schedule(low, warmup) <= 1
    if low >= warmup:
        assert schedule(high, warmup) <= schedule(low, warmup) + 1e-12
    elif high < warmup:
        assert schedule(low, warmup) <= schedule(high, warmup)
