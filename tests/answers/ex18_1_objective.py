"""The right answer to lessons/exercises/ex18_1_objective.py."""

import torch
from torch import nn
from torch.nn import functional as F

from miniclip.model.text import is_word
from miniclip.objectives.predictive import Predictive


class YesOrNo(Predictive):
    """A linear layer over the picture's features, and a sigmoid for each word of the vocabulary.

    The loss of a pair is the sum over the vocabulary of -log p(right answer), in nats; the right answer
    is yes for the caption's words. The start, the end and the padding are no words. Lower bound of the
    loss on a batch: 0, when no picture occurs twice with other captions. The score of a name is the
    same without the sign.
    """

    objective = "yes_or_no"

    def build(self, clip):
        self.words = nn.Linear(self.config["embed_dim"], self.config["vocab_size"])

    def encode_image(self, images, normalize=False):
        """The log-odds of every word: (N, 3, H, W) -> (N, vocab_size) fp32."""
        return self.words(self.visual(images)).float()

    def pair_losses(self, features, tokens):
        """Sums of cross-entropies: log-odds (N, vocab_size), tokens (N, L) int64 -> (N,)."""
        times = torch.zeros_like(features).scatter_add_(1, tokens, is_word(tokens).float())
        words = times.clamp(max=1)  # (N, vocab_size)
        losses = F.binary_cross_entropy_with_logits(features, words, reduction="none")
        return losses.sum(1)
