"""Wrong answers to lessons/exercises/ex12_classifier_weights.py."""

from torch.nn import functional as F

from miniclip.zeroshot import encode_texts


def _features(model, tokenizer, names, templates, by_template=False):
    if isinstance(names, str) or not list(names):
        raise ValueError("names")
    if isinstance(templates, str) or not list(templates):
        raise ValueError("templates")
    for template in templates:
        if template.count("{}") != 1:
            raise ValueError(f"{template} must hold {{}} once")
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


def template_without_placeholder_let_through(model, tokenizer, names, templates):
    sentences = [t.replace("{}", n) for n in names for t in templates]
    features = encode_texts(model, tokenizer, sentences)
    return F.normalize(features.unflatten(0, (len(names), len(templates))).mean(1), dim=1).T
