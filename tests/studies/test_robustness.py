"""Robustness: one style to train on, another at home, and the same classes in each test."""

from types import SimpleNamespace

import pytest
import robustness
import torch
from supervised_baseline import HOMES, TESTS, Home, accuracies, neighbour, train

from miniclip.common import UserError
from miniclip.data.icons.icons import TEST, Icons
from miniclip.evaluation.unseen_site import correct, ink, labelled
from tests.evaluation.fake_icons import NAMES, drawn

ARGS = SimpleNamespace(quick=None, held_out_sites=TEST[0])


def home(owned_and_inks=None):
    return Home(Icons(drawn=drawn() if owned_and_inks is None else owned_and_inks), "fluent")


def test_home_is_one_site_trained_in_one_style_and_tested_in_the_other():
    own = home()
    for split, style in {"train": "regular", "home": "filled"}.items():
        found = [entry for i in own.splits[split] for entry in own.owned[i]]
        assert found == [("fluent", name, style) for name in NAMES]
    assert {own.owned[i][0][0] for i in own.splits["heldout_site"]} == {"fontawesome"}


def test_the_classes_are_those_of_every_test_and_no_test_was_trained_on():
    owned, inks = drawn()
    for own in owned:
        if own in ([("fluent", "bell", "filled")], [("fluent", "drum", "regular")]):
            own[0] = ("remix", own[0][1], "line")
        if own[0][:2] == ("fontawesome", "gear"):
            own[0] = ("fontawesome", "cog", own[0][2])
    shared = owned.index([("fluent", "eye", "regular")])  # a picture that both styles share
    owned[shared].append(("fluent", "eye", "filled"))
    own = home((owned, inks))
    assert shared in own.splits["train"] and shared not in own.splits["home"]
    assert own.tested_names == ["anchor", "cloud", "eye", "flag", "heart"]
    for split in TESTS:
        names = {name for i in labelled(own, split, own.tested_names)[0] for name in own.names(i)}
        assert names == set(own.tested_names), split


def test_a_home_with_one_shared_name_is_refused():
    with pytest.raises(UserError, match="fewer than two names"):
        home(drawn(NAMES[:1]))


def test_the_neighbour_gives_each_class_its_nearest_picture():
    own = home()
    known, right = labelled(own, "train", own.tested_names)
    queries = own.splits["heldout_site"]
    found = neighbour(ink, own)(queries)
    cosines = ink(own, queries)[0] @ ink(own, known)[0].T
    for c in range(len(own.tested_names)):
        torch.testing.assert_close(found[:, c], cosines[:, right[:, c]].amax(1))
    assert accuracies(own, neighbour(ink, own))["home"]["value"] == 1.0


def test_a_tower_trained_on_the_labels_of_one_style_names_it_and_the_other_site():
    own = home()
    scores = train(own, "rn_icons_xs", 60)
    indices, right = labelled(own, "train", own.tested_names)
    fitted = correct(scores(indices), right).float().mean().item()
    assert fitted == 1.0, f"of its own pictures it names {fitted}"
    found = accuracies(own, scores)
    assert found["heldout_site"]["low"] > 1 / len(NAMES) and found["home"]["n"] == len(NAMES), found


def test_supervised_training_is_a_function_of_its_seed():
    own = home()
    a, b, c = (train(own, "rn_icons_xs", 2, seed)(own.splits["home"]) for seed in (0, 0, 1))
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_the_zero_shot_models_were_trained_on_no_site_that_they_are_tested_on():
    sites = [{*training["sites"]} for training in robustness.plan(ARGS)["zero-shot"]]
    assert not set().union(*sites) & {*TEST} and not sites[-1] & {*HOMES}
