"""13  A classifier out of names.  Read lessons/13_zeroshot.md, then make this file green.

encode_texts(model, tokenizer, texts) returns the vectors of a list of strings: (len(texts), E), each of
length one. The library also refuses wrong input. That is not asked here: write the classifier.
"""

from collections.abc import Iterable

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from miniclip.zeroshot import encode_texts

ANSWER = "miniclip.zeroshot:classifier_weights"


def classifier_weights(model, tokenizer, names: Iterable, templates: Iterable) -> torch.Tensor:
    """The zero-shot classifier: (E, classes) fp32, columns of length one.

    names: one string per class. If two classes have the same name, their columns are equal, and
    `classify` finds only the first of them. templates: strings with one {} for the name; a bare
    "{}" is the name alone. Raises ValueError if names or templates are empty or hold something
    else than strings, if a template does not hold {} exactly once, or if a name has no words or
    does not fit into the context.

    A name whose words did not occur in training raises no error. The model has learned nothing
    about such words, so the scores of this class are noise.
    """
    raise NotImplementedError  # about 4 lines, with encode_texts


class Tower:
    """A text tower that gives every sentence its own fixed random direction."""

    config, logit_scale, training = {"embed_dim": 16}, torch.zeros(()), False

    def eval(self):
        return self

    def train(self, mode=True):
        return self

    def parameters(self):
        return iter([self.logit_scale])

    def encode_text(self, tokens, normalize=False):
        seeds = [torch.Generator().manual_seed(int(t)) for t in tokens[:, 0]]
        return F.normalize(torch.stack([torch.randn(16, generator=g) for g in seeds]), dim=1)


def tokenizer(texts, trim=False, truncate=True):
    return torch.tensor([[sum(ord(c) * 31**k for k, c in enumerate(t)) % 2**31] for t in texts])


def weights(names, templates):
    return classifier_weights(Tower(), tokenizer, names, templates)


def named(classes, templates):
    """The weights of so many classes, from so many templates."""
    return weights([f"class {k}" for k in range(classes)], [f"{t} {{}}" for t in range(templates)])


def sentence(text):
    return encode_texts(Tower(), tokenizer, [text])[0]


def same(found, wanted, law):
    assert found.shape == wanted.shape, (
        f"{law}: the shape is {tuple(found.shape)}, not {tuple(wanted.shape)}"
    )
    apart = (found - wanted).abs().max().item()
    assert apart < 1e-5, f"{law}: off by up to {apart:.2g}"


@given(st.integers(1, 5), st.integers(1, 4))
def test_one_column_for_each_class(classes, templates):
    w = named(classes, templates)
    assert w.shape == (16, classes), f"want (E, classes), which is (16, {classes}): {(*w.shape,)}"


def test_a_class_is_the_sentence_with_its_name_in_it():
    law = "with one template, the column of cat is the sentence 'a cat.'"
    same(weights(["dog", "cat"], ["a {}."])[:, 1], sentence("a cat."), law)


def test_classes_keep_their_own_sentences():
    both, law = (
        weights(["dog", "cat"], ["a {}", "the {}"]),
        "a column must not depend on the others",
    )
    same(both[:, :1], weights(["dog"], ["a {}", "the {}"]), law)
    same(both[:, 1:], weights(["cat"], ["a {}", "the {}"]), law)


def test_an_ensemble_is_the_mean_of_its_sentences():
    found = F.normalize(weights(["dog"], ["a {}", "the {}"])[:, 0], dim=0)
    mean = F.normalize(sentence("a dog") + sentence("the dog"), dim=0)
    same(found, mean, "two templates give the direction of the mean of two sentences")


@given(st.integers(1, 5), st.integers(1, 4))
def test_each_column_has_length_one(classes, templates):
    lengths = named(classes, templates).norm(dim=0)
    same(lengths, torch.ones(classes), "each column must have length one")


def test_the_order_of_the_templates_does_not_matter():
    names, templates = ["dog", "cat"], ["a {}", "the {}", "{}"]
    law = "the same templates in another order are the same classifier"
    same(weights(names, templates), weights(names, templates[::-1]), law)


# Shown when all laws are green: what the library does differently.


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_one_column_for_each_class": (
        "What has encode_texts given you: one vector in a row, or in a column?",
        "encode_texts returns a row for each sentence. The classifier has a column for each class, whatever "
        "the number of templates.",
        "Turn (classes, E) round at the end, with .T.",
    ),
    "test_a_class_is_the_sentence_with_its_name_in_it": (
        "Print the sentences that you encode. Then print the length of a column.",
        "The name replaces the {} of the template. With one template the column is this sentence's vector, "
        "as it is, and nothing of the other classes is in it.",
        'sentence = template.replace("{}", name), and lengths are taken over the E numbers of a class.',
    ),
    "test_classes_keep_their_own_sentences": (
        "In which order do you encode the sentences, and which of them do you average?",
        "If the sentences of one name stand side by side, a shape (classes, templates, E) has them in one "
        "row. If the sentences of one template do, it is the other way round.",
        "[... for name in names for template in templates], then "
        "features.unflatten(0, (len(names), len(templates))).",
    ),
    "test_an_ensemble_is_the_mean_of_its_sentences": (
        "How many vectors do you have for each name, and what do you make of them?",
        "Each sentence is encoded by itself, and the vectors are averaged, all of them "
        "(section 'Why average several sentences?').",
        "mean = features.unflatten(0, (len(names), len(templates))).mean(1), one row for each class.",
    ),
    "test_each_column_has_length_one": (
        "How long is the mean of two different vectors of length one?",
        "It is shorter. The page shows what happens to names with short columns. So the mean is given length "
        "one again, for each class by itself.",
        "F.normalize(mean, dim=1), while the classes are still the rows.",
    ),
    "test_the_order_of_the_templates_does_not_matter": (
        "Which of the templates does your function treat in another way than the rest?",
        "A mean does not depend on an order.",
        "Average over the axis of the templates: .mean(1)",
    ),
}
DIFFERS = (
    "The library first refuses what would give a wrong classifier without a word: no names, a template "
    "without a place for the name, or a name that is cut, because two names that are cut may become the same."
)
