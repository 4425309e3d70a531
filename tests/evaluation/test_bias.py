"""Groups are what the names state; several names of one class count as one class."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from miniclip.data.dataset import Pairs
from miniclip.evaluation.bias import drawings_of_people, error_by_group, gender, merged


@pytest.mark.parametrize(
    "names, expected",
    [
        (["woman firefighter: dark skin tone"], "woman"),
        (["man golfing"], "man"),
        (["judge"], "not stated"),
        (["person biking", "man biking"], "both names"),
        (["woman and man holding hands"], "both names"),
        (["mango"], "not stated"),
    ],
)
def test_gender_is_what_the_names_say(names, expected):
    assert gender(names) == expected


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.sampled_from("ab")), min_size=1))
def test_the_errors_of_the_groups_add_up_to_all_errors(rows):
    predicted, labels, groups = zip(*rows)
    found = error_by_group(predicted, labels, groups)
    wrong = sum(s["value"] * s["n"] for s in found.values())
    assert wrong == pytest.approx(sum(p != q for p, q in zip(predicted, labels)))
    assert sum(s["n"] for s in found.values()) == len(rows)


def test_the_similarity_to_a_class_is_that_to_the_best_of_its_names():
    similarity = torch.tensor([[0.1, 0.9, 0.3], [0.2, 0.1, 0.5]])
    torch.testing.assert_close(
        merged(similarity, [0, 0, 1]), torch.tensor([[0.9, 0.3], [0.2, 0.5]])
    )
    assert torch.equal(merged(similarity, [0, 1, 2]), similarity)


def test_who_is_drawn_and_how_is_what_the_names_say():
    names = [
        ["woman cook: dark skin tone"],
        ["man cook"],
        ["cook"],  # not held out
        ["woman judge", "person judge"],
        ["man judge: dark skin tone"],
        ["king"],  # no woman, so no class
        ["man king"],
    ]
    pairs = Pairs("people", names, {"train": [2], "heldout_compositions": [0, 1, 3, 4, 5, 6]})
    pairs.tones = lambda i: {0: ["dark"], 3: ["light", "dark"], 4: ["dark"]}.get(i, [])
    indices, classes, labels, genders, tones = drawings_of_people(pairs)
    assert indices == [0, 1, 3, 4] and classes == ["cook", "judge"]
    assert labels.tolist() == [0, 0, 1, 1]
    assert genders == ["woman", "man", "both names", "man"]
    assert tones == ["dark", "no tone stated", "two tones", "dark"]
