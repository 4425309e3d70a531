"""Wrong answers to lessons/exercises/ex13_1_objective.py."""

import torch
from torch.nn import functional as F

from miniclip.model.text import is_word
from tests.answers.ex13_1_objective import YesOrNo as _Right


def _said(features, tokens, counted=None):
    """How often each word is said: (N, vocab_size)."""
    counted = is_word(tokens) if counted is None else counted
    return torch.zeros_like(features).scatter_add_(1, tokens, counted.float())


def _losses(features, words):
    return F.binary_cross_entropy_with_logits(features, words, reduction="none")


class StartAndEndAreWords(_Right):
    def pair_losses(self, features, tokens):
        return _losses(features, _said(features, tokens, tokens >= 0).clamp(max=1)).sum(1)


class EndIsAWord(_Right):
    def pair_losses(self, features, tokens):
        position = torch.arange(tokens.shape[1])
        counted = (position > 0) & (position <= tokens.argmax(1, keepdim=True))
        return _losses(features, _said(features, tokens, counted).clamp(max=1)).sum(1)


class WordsSaidTwiceCountTwice(_Right):
    def pair_losses(self, features, tokens):
        return _losses(features, _said(features, tokens)).sum(1)


class AbsentWordsAreLeftOut(_Right):
    def pair_losses(self, features, tokens):
        words = _said(features, tokens).clamp(max=1)
        return (_losses(features, words) * words).sum(1)


class MeanOverTheVocabulary(_Right):
    def pair_losses(self, features, tokens):
        return super().pair_losses(features, tokens) / features.shape[1]


class SoftmaxOverWords(_Right):
    def pair_losses(self, features, tokens):
        return -(features.log_softmax(1) * _said(features, tokens).clamp(max=1)).sum(1)


class LogOfAProbability(_Right):
    def pair_losses(self, features, tokens):
        p, words = features.sigmoid(), _said(features, tokens).clamp(max=1)
        return -(words * p.log() + (1 - words) * (1 - p).log()).sum(1)


class MeanOfTheBatch(_Right):
    def pair_losses(self, features, tokens):
        return super().pair_losses(features, tokens).mean().expand(len(tokens))


class YesAndNoSwapped(_Right):
    def pair_losses(self, features, tokens):
        return super().pair_losses(-features, tokens)
