"""Families of icons that are held out: the three questions, near copies, and labelled pictures."""

import numpy as np
import pytest
import torch
from PIL import Image

from miniclip.bpe import Tokenizer
from miniclip.data.icons import families
from miniclip.data.icons.icons import Icons
from miniclip.evaluation import shots
from miniclip.evaluation.families import (
    TEMPLATES,
    answers,
    closeness,
    correct,
    ink,
    mean,
    nearest,
    with_names,
    write,
    zero_shot,
)
from miniclip.evaluation.features import FeatureCache, picture_source
from miniclip.model.clip import create_model
from tests.data.icons import NAMES, made_up, small_pairs
from tests.evaluation.fakes import context_of


def features_of(texts):
    """A small model with random weights, and a tokenizer that was learned from some texts."""
    tokenizer = Tokenizer.train(texts, 600, context_length=8)
    return FeatureCache(create_model("rn_icons_xs", vocab_size=600).eval(), tokenizer)


def test_each_question_has_the_pictures_and_names_that_it_is_about():
    owned = [
        [("carbon", "home", "")],
        [("carbon", "red cat", "")],
        [("tabler", "home", "")],
        [("tabler", "red home", "filled")],
        [("tabler", "blue home", "")],
    ]
    pairs = Icons(drawn=(owned, np.zeros((5, 32, 32), np.uint8)))
    asked = []

    def scores(indices, names):
        asked.append((indices, names))
        return torch.tensor([[float(name in pairs.names(i)) for name in names] for i in indices])

    found = zero_shot(scores, pairs, ("tabler",))["tabler"]
    assert asked == [([2, 3, 4], ["blue home", "home", "red home"])]
    assert set(found) == {"site"}  # one known name, and one combination: nothing to choose from
    assert found["site"]["top-1"] == found["site"]["macro"] == 1 and found["site"]["n"] == 3


def test_macro_counts_each_name_the_same():
    right = torch.tensor([[1, 0], [1, 0], [1, 0], [0, 1]]).bool()
    scores = torch.tensor([[1.0, 0], [1, 0], [1, 0], [1, 0]])
    found = answers(scores, right)
    assert found["top-1"] == 0.75 and found["macro"] == 0.5 and found["top-5"] == 1


def test_the_section_asks_every_family_and_the_combinations_held_out(report, monkeypatch):
    monkeypatch.setattr(families, "held_out_combinations", lambda names: ({frozenset("ab")}, set()))
    homes = {"carbon": ["a", "b", "c d", "a b", "b a", "c a"], "tabler": ["a", "b", "c b", "d b"]}
    owned = [[(home, name, "")] for home, names in homes.items() for name in names]
    pairs = Icons(drawn=made_up(owned))
    assert pairs.splits["heldout_names"] == [3, 4] and len(pairs.splits["train"]) == 4
    context = context_of(report, features_of(["a b c d"]), pairs=pairs, templates=TEMPLATES)
    found = write(context)
    assert set(found["tabler"]) == {"known", "site", "combinations"}
    assert found["training families"]["combinations held out"]["n"] == 2
    assert found["tabler"]["site"]["classes"] == found["tabler"]["site"]["n"] == 4
    assert all(f"| {template} |" in report.said() for template in (*TEMPLATES, "all of them"))


def test_a_picture_of_two_names_is_right_by_either_and_one_without_such_a_name_is_not_asked():
    owned = [
        [("tabler", "a", ""), ("tabler", "b", "")],
        [("tabler", "c", "")],
        [("tabler", "d", "")],
    ]
    pairs = Icons(drawn=(owned, np.zeros((3, 32, 32), np.uint8)))
    indices, right = with_names(pairs, range(3), ["a", "b", "c"])
    assert indices == [0, 1] and right.tolist() == [[True, True, False], [False, False, True]]
    scores = torch.tensor([[0.0, 1, 0], [1, 0, 0.5]])
    assert correct(scores, right).tolist() == [True, False]
    assert correct(scores, right, 2).all() and correct(scores, right, 9).all()


def test_ink_is_one_for_a_copy_and_less_for_another_drawing():
    half = Image.new("RGB", (32, 32), "white")
    half.paste((0, 0, 0), (0, 0, 32, 16))
    half.paste((255, 0, 0), (0, 16, 16, 32))  # red has two thirds of the ink of black
    (own,), _ = ink(picture_source([half]), [0])
    assert own.shape == (16 * 16,) and own.norm().item() == pytest.approx(1)
    upper, left, right = own.view(16, 16)[[2, 13, 13], [8, 3, 12]].tolist()
    assert left / upper == pytest.approx(2 / 3) and right == 0


def test_the_nearest_is_found_in_blocks(monkeypatch):
    monkeypatch.setattr("miniclip.evaluation.families.BLOCK", 7)
    x, known = torch.randn(5, 4), torch.randn(30, 4)
    cosines, rows = nearest(x, known)
    assert torch.equal(rows, (x @ known.T).argmax(1))
    torch.testing.assert_close(cosines, (x @ known.T).amax(1))
    pairs = small_pairs(noise=0)
    tests = pairs.splits["heldout_site"]
    assert (closeness(pairs, tests[: len(NAMES)]) > 1 - 1e-5).all(), "each is a copy"


def test_a_mean_over_families_leaves_out_those_that_cannot_be_asked():
    families = [{"known": {"top-1": 0.5}}, {}, {"known": {"top-1": 1.0}}]
    assert mean(families, "known") == 0.75 and mean(families, "site") is None


def test_the_nearest_labelled_picture_has_the_name_and_the_shots_are_as_many_as_asked(report):
    pairs = small_pairs()
    features = features_of(["anchor bell cloud drum eye flag gear heart"])
    found = shots.write(context_of(report, features, pairs=pairs, templates=TEMPLATES))["tabler"]
    assert (found["n"], found["classes"]) == (len(NAMES), len(NAMES))
    assert found["in raw pixels"]["all"] == found["in raw pixels"][1] == 1
    assert found["in its features"]["all"] == found["in its features"][8], "there are eight of each"
    _, own = with_names(pairs, pairs.splits["train"], NAMES)
    one, other = (shots.drawn(own, 2, seed) for seed in (0, 1))
    assert (own[one].sum(0) == 2).all() and not torch.equal(one, other)
    assert {*one.tolist()} < {*shots.drawn(own, 3, 0).tolist()} and len(
        shots.drawn(own, 99, 0)
    ) == 64
    eye, draws = torch.eye(8), {1: [torch.arange(8)]}
    for own, accuracy in ((eye > 0, 1), (eye.roll(1, 0) > 0, 0)):
        assert shots.by_shots(eye, eye, own, eye > 0, draws) == {1: accuracy}
