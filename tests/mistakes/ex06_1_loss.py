"""Plausible wrong answers to lessons/exercises/ex06_1_loss.py."""

import torch
import torch.nn.functional as _F


def _both(logits):
    matched = torch.arange(len(logits))
    return (_F.cross_entropy(logits, matched) + _F.cross_entropy(logits.T, matched)) / 2


def _unit(*features):
    return (_F.normalize(x, dim=1) for x in features)


def features_are_not_normalized(image, text, logit_scale):
    return _both(logit_scale.exp() * image @ text.T)


def the_scale_is_not_exponentiated(image, text, logit_scale):
    image, text = _unit(image, text)
    return _both(logit_scale * image @ text.T)


def divides_by_the_scale(image, text, logit_scale):
    image, text = _unit(image, text)
    return _both(image @ text.T / logit_scale.exp())


def only_images_choose(image, text, logit_scale):
    image, text = _unit(image, text)
    return _F.cross_entropy(logit_scale.exp() * image @ text.T, torch.arange(len(image)))


def adds_both_directions(image, text, logit_scale):
    image, text = _unit(image, text)
    return 2 * _both(logit_scale.exp() * image @ text.T)


def normalizes_each_dimension(image, text, logit_scale):
    image, text = _F.normalize(image, dim=0), _F.normalize(text, dim=0)
    return _both(logit_scale.exp() * image @ text.T)
