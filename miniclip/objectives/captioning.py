"""Predict the caption word by word from the picture (VirTex: Desai and Johnson 2020), or a masked word from
the picture and the other words (ICMLM: Sariyildiz et al. 2020)."""

import torch
from einops import rearrange
from torch import nn

from miniclip.common import refuse
from miniclip.model.text import at_end_token, is_word
from miniclip.objectives.predictive import Predictive


class Captioning(Predictive):
    """A causal Transformer, CLIP's text tower, that has the cells of the picture's grid before the text.

    The ResNet's last grid takes the place of its attention pool. The loss of a pair is -log p(caption |
    picture), summed over its words and the end; so is a name's score, its log-likelihood.
    Lower bound of the loss on a batch: 0, when no picture occurs twice with other captions; else the
    entropy of the captions given the picture.
    VirTex adds: a second decoder that reads the caption from its end, with the same embeddings; decoders
    that attend to the grid in a layer of their own instead of having it before the text; beam search.
    """

    objective = "captioning"

    def build(self, clip):
        refuse(
            {
                f"--objective {self.objective} reads the last grid of a ResNet, and this model has a "
                "ViT": not hasattr(self.visual, "attnpool")
            }
        )
        pool = self.visual.attnpool
        self.cells, self.visual.attnpool = pool.grid**2, nn.Flatten()
        self.grid_projection = nn.Linear(pool.k_proj.in_features, self.config["text_width"])
        for name in ("token_embedding", "positional_embedding", "transformer", "ln_final"):
            setattr(self, name, getattr(clip, name))

    def encode_image(self, images, normalize=False):
        """The cells of the grid: (N, 3, H, W) -> (N, channels * cells)."""
        return self.visual(images)

    def read(self, features, text):
        """Activations at the text's positions: (N, channels * cells), (N, L, D) embedded -> (N, L, D)."""
        grid = self.grid_projection(rearrange(features, "n (d s) -> n s d", s=self.cells))
        text = text + self.positional_embedding[: text.shape[1]]
        x = self.transformer(torch.cat([grid.to(text.dtype), text], 1))  # (N, cells + L, D)
        return self.ln_final(x[:, self.cells :])

    def log_losses(self, x, words):
        """-log p of words (...) int64 by the activations x (..., D); the embeddings are the softmax's
        weights."""
        logits = (x @ self.token_embedding.weight.T).float()
        return nn.functional.cross_entropy(logits.flatten(0, -2), words.flatten(), reduction="none")

    def pair_losses(self, features, tokens):
        """-log p(caption | picture): (N, channels * cells), (N, L) int64 -> (N,)."""
        x, following = self.read(features, self.token_embedding(tokens))[:, :-1], tokens[:, 1:]
        losses = self.log_losses(x, following).view(following.shape)
        position = torch.arange(1, tokens.shape[1], device=tokens.device)
        return losses.where(position <= tokens.argmax(dim=1, keepdim=True), 0).sum(1)


class MaskedWords(Captioning):
    """The Transformer of Captioning reads the grid and the caption with one word masked.

    The prediction is read at the end token, which has read all of it, so that the padding needs no
    mask in the attention. In training one word of each caption is masked, another in each step and
    by its row in the part; the loss of a pair is -log p(word | picture, other words). In evaluation
    it is the sum of that over all words. So the score of a name is its pseudo-log-likelihood.
    Lower bound of the loss on a batch: 0, when the picture and the other words tell the word.
    Left out: the concepts that ICMLM selects for masking, its attention over the grid, BERT's weights.
    """

    objective = "masked_words"

    def build(self, clip):
        super().build(clip)
        self.mask_embedding = nn.Parameter(0.02 * torch.randn(self.config["text_width"]))
        self.register_buffer("turn", torch.zeros((), dtype=torch.int64))  # steps so far

    def pair_losses(self, features, tokens):
        """-log p of one word of each caption, in evaluation the sum of all: (N, channels * cells),
        (N, L) int64 -> (N,)."""
        words, first = is_word(tokens).sum(1), torch.zeros_like(tokens[:, 0])
        if not self.training:
            each = (self.masked_losses(features, tokens, first + k) for k in range(words.max()))
            return sum(each, first)
        turn = self.turn + torch.arange(len(tokens), device=tokens.device)
        self.turn += 1
        return self.masked_losses(features, tokens, turn % words.clamp(min=1))

    def masked_losses(self, features, tokens, word):
        """-log p of the caption's word number `word`, (N,) int64 from 0; 0 where it has fewer."""
        words, position = is_word(tokens), (word + 1)[:, None].clamp(max=tokens.shape[1] - 1)
        masked = torch.arange(tokens.shape[1], device=tokens.device) == position
        text = torch.where(masked[:, :, None], self.mask_embedding, self.token_embedding(tokens))
        x = at_end_token(self.read(features, text), tokens)  # (N, D)
        losses = self.log_losses(x, tokens.gather(1, position))
        return losses.where((word < words.sum(1)), 0)
