"""The supervised baseline: one style to train on, another at home, the same classes in each test."""

import pytest
import torch

from miniclip.common import UserError
from miniclip.data.icons.dataset import Icons
from miniclip.evaluation import supervised_baseline
from miniclip.evaluation.supervised_baseline import Home, accuracies, neighbour
from miniclip.evaluation.unseen_site import correct, ink, labelled
from miniclip.training.recipe import recipe
from tests.evaluation.fake_icons import NAMES, drawn


def home(owned_and_inks=None):
    pairs = Icons(drawn=drawn() if owned_and_inks is None else owned_and_inks)
    return Home(pairs, "fluent", "regular", "filled")


def test_home_is_one_site_trained_in_one_style_and_tested_in_the_other():
    own = home()
    for split, style in {"train": "regular", "home": "filled"}.items():
        found = [entry for i in own.splits[split] for entry in own.owned[i]]
        assert found == [("fluent", name, style) for name in NAMES]
    assert {own.owned[i][0][0] for i in own.splits["heldout_site"]} == {"fontawesome"}


def test_a_picture_that_both_styles_share_is_no_test():
    owned, inks = drawn()
    shared = owned.index([("fluent", "bell", "regular")])
    owned[shared].append(("fluent", "bell", "filled"))
    own = home((owned, inks))
    assert shared in own.splits["train"] and shared not in own.splits["home"]


def test_the_classes_are_those_of_every_test():
    owned, inks = drawn()
    for own in owned:
        if own in ([("fluent", "bell", "filled")], [("fluent", "drum", "regular")]):
            own[0] = ("remix", own[0][1], "line")
        if own[0][:2] == ("fontawesome", "gear"):
            own[0] = ("fontawesome", "cog", own[0][2])
    own = home((owned, inks))
    assert own.tested_names == ["anchor", "cloud", "eye", "flag", "heart"]
    for split in ("home", "heldout_site"):
        names = {name for i in labelled(own, split, own.tested_names)[0] for name in own.names(i)}
        assert names == set(own.tested_names), split


def test_a_home_without_shared_names_is_refused():
    owned, inks = drawn()
    owned = [[(s, f"{s} {n}", style)] for ((s, n, style),) in owned]
    with pytest.raises(UserError, match="fewer than two names"):
        home((owned, inks))


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
    scores = supervised_baseline.train(own, "rn_icons_xs", 60)
    indices, right = labelled(own, "train", own.tested_names)
    fitted = correct(scores(indices), right).float().mean().item()
    assert fitted == 1.0, f"of its own pictures it names {fitted}"
    found = accuracies(own, scores)
    chance = 1 / len(NAMES)
    assert found["heldout_site"]["low"] > chance and found["home"]["n"] == len(NAMES), found


def test_training_is_a_function_of_its_seed_and_has_the_recipes_optimizer(monkeypatch):
    own, progress, optimizers, adamw = home(), [], [], torch.optim.AdamW
    monkeypatch.setattr(supervised_baseline, "schedule", lambda at, _: progress.append(at) or 0.25)

    def made(*args, **options):
        optimizers.append((adamw(*args, **options), options))
        return optimizers[-1][0]

    monkeypatch.setattr(torch.optim, "AdamW", made)
    indices = own.splits["home"]
    seeds = ((), (0,), (1,))
    a, b, c = (supervised_baseline.train(own, "rn_icons_xs", 2, *s)(indices) for s in seeds)
    assert torch.equal(a, b) and not torch.equal(a, c)
    assert list(dict.fromkeys(progress)) == pytest.approx([1 / 3, 2 / 3])
    how = recipe("rn_icons_xs")
    optimizer, options = optimizers[0]
    assert options == {"lr": how["lr"], "betas": (0.9, how["beta2"]), "eps": how["eps"]}
    assert {group["lr"] for group in optimizer.param_groups} == {how["lr"] * 0.25}


def test_two_names_are_enough_for_a_home():
    assert home(drawn(NAMES[:2])).tested_names == ["anchor", "bell"]
    with pytest.raises(UserError, match="fewer than two names"):
        home(drawn(NAMES[:1]))
