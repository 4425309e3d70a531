"""The zero-shot classifier is the mean of normalised sentences, normalised again."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from miniclip.zeroshot import accuracy, classifier_weights, classify, nearest_neighbour


class Words:
    """A text tower that gives every sentence a fixed random direction."""

    config = {"embed_dim": 16}
    logit_scale = torch.zeros(())
    training = False

    def eval(self):
        return self

    def train(self, mode=True):
        return self

    def encode_text(self, tokens, normalize=False):
        rows = [
            torch.randn(16, generator=torch.Generator().manual_seed(int(t))) for t in tokens[:, 0]
        ]
        features = torch.stack(rows)
        return torch.nn.functional.normalize(features, dim=1) if normalize else features


def tokenizer(texts, trim=False):
    return torch.tensor([[sum(ord(c) * 31**k for k, c in enumerate(t)) % 2**31] for t in texts])


def weights(names, templates):
    return classifier_weights(Words(), tokenizer, names, templates)


@given(st.integers(1, 5), st.integers(1, 4))
def test_columns_are_unit_and_one_for_each_class(classes, templates):
    names = [f"class {i}" for i in range(classes)]
    w = weights(names, [f"{t} {{}}" for t in range(templates)])
    assert w.shape == (16, classes)
    torch.testing.assert_close(w.norm(dim=0), torch.ones(classes))


def test_an_ensemble_is_the_normalised_mean_of_its_templates():
    one, two = weights(["dog"], ["a {}"]), weights(["dog"], ["the {}"])
    both = weights(["dog"], ["a {}", "the {}"])
    torch.testing.assert_close(both, torch.nn.functional.normalize(one + two, dim=0))


def test_templates_in_another_order_are_the_same_classifier():
    names, templates = ["dog", "cat"], ["a {}", "the {}", "{}"]
    torch.testing.assert_close(weights(names, templates), weights(names, templates[::-1]))


def test_a_name_may_hold_braces():
    torch.testing.assert_close(weights(["{x}"], ["a {}"]), weights(["a {x}"], ["{}"]))


@pytest.mark.parametrize(
    "names, templates, word",
    [
        ([], ["{}"], "names"),
        (["dog"], [], "templates"),
        (["dog"], ["a photo"], "a photo"),
        (["dog"], "a {}", "templates"),
    ],
)
def test_bad_input_is_named(names, templates, word):
    with pytest.raises(ValueError, match=word):
        weights(names, templates)


def test_a_picture_that_is_its_sentence_gets_its_class():
    w = weights(["dog", "cat", "hen"], ["a {}"])
    assert classify(w.T, w).tolist() == [0, 1, 2]


def test_balanced_accuracy_weighs_classes_alike():
    scores = accuracy([0, 0, 0, 0], [0, 0, 0, 1])
    assert (scores["accuracy"], scores["balanced_accuracy"], scores["n"]) == (0.75, 0.5, 4)


def test_the_nearest_neighbour_of_a_known_picture_is_itself():
    known = torch.rand(5, 12, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([3, 1, 4, 1, 5])
    assert nearest_neighbour(known, labels, known).tolist() == labels.tolist()
