"""Predict a masked word from the picture and the other words (ICMLM: Sariyildiz et al. 2020)."""

import torch
from torch import nn

from miniclip.model.text import at_end_token, is_word
from miniclip.objectives.captioning import Captioning


class MaskedWords(Captioning):
    """The Transformer of Captioning reads the grid and the caption with one word masked.

    The prediction is read at the end token, which has read all of it, so that the padding needs no
    mask in the attention. In training one word of each caption is masked, another in each step and
    by its row in the part; the loss of a pair is -log p(word | picture, other words). The score of a
    name is minus the sum of that over its words, its pseudo-log-likelihood.
    Lower bound of the loss on a batch: 0, when the picture and the other words tell the word.
    Left out: the concepts that ICMLM selects for masking, its attention over the grid, BERT's weights.
    """

    objective = "masked_words"

    def build(self, clip):
        super().build(clip)
        self.mask_embedding = nn.Parameter(0.02 * torch.randn(self.config["text_width"]))
        self.register_buffer("turn", torch.zeros((), dtype=torch.int64))  # steps so far

    def pair_losses(self, features, tokens):
        """-log p of one word of each caption: (N, channels * cells), (N, L) int64 -> (N,)."""
        turn = self.turn + torch.arange(len(tokens), device=tokens.device)
        if self.training:
            self.turn += 1
        return self.masked_losses(features, tokens, turn % is_word(tokens).sum(1).clamp(min=1))

    def masked_losses(self, features, tokens, word):
        """-log p of the caption's word number `word`, (N,) int64 from 0; 0 where it has fewer."""
        words, position = is_word(tokens), (word + 1)[:, None].clamp(max=tokens.shape[1] - 1)
        masked = torch.arange(tokens.shape[1], device=tokens.device) == position
        text = torch.where(masked[:, :, None], self.mask_embedding, self.token_embedding(tokens))
        x = at_end_token(self.read(features, text), tokens)  # (N, D)
        losses = self.log_losses(x, tokens.gather(1, position))
        return losses.where((word < words.sum(1)), 0)

    def name_losses(self, features, tokens):
        """-log p of each word by the others, summed: as pair_losses."""
        most = int(is_word(tokens).sum(1).max())
        at = tokens.new_zeros(len(tokens))
        return sum((self.masked_losses(features, tokens, at + k) for k in range(most)), at)
