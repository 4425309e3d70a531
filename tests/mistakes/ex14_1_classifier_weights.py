"""Wrong answers to lessons/exercises/ex14_1_classifier_weights.py."""

import torch
from torch.nn import functional as F

from miniclip.zeroshot import encode_texts


def _features(model, tokenizer, names, templates, by_template=False):
    if by_template:
        sentences = [t.replace("{}", n) for t in templates for n in names]
    else:
        sentences = [t.replace("{}", n) for n in names for t in templates]
    features = encode_texts(model, tokenizer, sentences)
    return features.unflatten(0, (len(names), len(templates)))


def mean_not_normalized_again(model, tokenizer, names, templates):
    return _features(model, tokenizer, names, templates).mean(1).T


def sentences_of_one_template_taken_for_one_class(model, tokenizer, names, templates):
    return F.normalize(_features(model, tokenizer, names, templates, True).mean(1), dim=1).T


def first_template_only(model, tokenizer, names, templates):
    return F.normalize(_features(model, tokenizer, names, templates)[:, 0], dim=1).T


def normalized_over_classes(model, tokenizer, names, templates):
    return F.normalize(_features(model, tokenizer, names, templates).mean(1), dim=0).T


def one_row_a_class(model, tokenizer, names, templates):
    return F.normalize(_features(model, tokenizer, names, templates).mean(1), dim=1)


def names_without_their_templates(model, tokenizer, names, templates):
    return F.normalize(encode_texts(model, tokenizer, list(names)), dim=1).T


def mean_of_the_classes_subtracted(model, tokenizer, names, templates):
    w = F.normalize(_features(model, tokenizer, names, templates).mean(1), dim=1)
    return F.normalize(w - w.mean(0) if len(w) > 1 else w, dim=1).T


def templates_joined_into_one_sentence(model, tokenizer, names, templates):
    joined = [" ".join(t.replace("{}", n) for t in templates) for n in names]
    return torch.stack([*encode_texts(model, tokenizer, joined)], dim=1)
