"""Predict the caption word by word from the picture (VirTex: Desai and Johnson 2020), or a masked word from
the picture and the other words (ICMLM: Sariyildiz et al. 2020)."""

import torch
from einops import rearrange
from torch import nn

from miniclip.common import refuse
from miniclip.model.text import at_end_token, is_word
from miniclip.objectives.predictive import Predictive


class Captioning(Predictive):
    """CLIP's text tower, a causal Transformer, reads the picture's grid and predicts the caption.

    The cells of the grid come before the text. The grid is the last one of the ResNet, and takes
    the place of the attention pool.
    The loss of a pair is -log p(caption | picture), summed over the caption's words and its end
    token. The score of a name is its log-likelihood, computed in the same way.
    Lower bound of the loss on a batch: 0 if no picture occurs twice with different captions, and
    otherwise the entropy of the captions given the picture.
    VirTex also has a second decoder with the same embeddings, which reads the caption from its end.
    Its decoders attend to the grid in a separate layer, instead of reading it before the text. It
    searches captions with a beam.
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
        """-log p of words (...) int64, predicted from the activations x (..., D). The token
        embeddings are the weights of the softmax."""
        logits = (x @ self.token_embedding.weight.T).float()
        return nn.functional.cross_entropy(logits.flatten(0, -2), words.flatten(), reduction="none")

    def pair_losses(self, features, tokens):
        """-log p(caption | picture): (N, channels * cells), (N, L) int64 -> (N,)."""
        x, following = self.read(features, self.token_embedding(tokens))[:, :-1], tokens[:, 1:]
        losses = self.log_losses(x, following).view(following.shape)
        position = torch.arange(1, tokens.shape[1], device=tokens.device)
        return losses.where(position <= tokens.argmax(dim=1, keepdim=True), 0).sum(1)


class MaskedWords(Captioning):
    """The Transformer of Captioning predicts a masked word from the grid and the other words.

    The prediction is made at the end token, which attends to the grid and the whole caption. The
    padding comes after the end token, so the attention needs no mask for it.
    In training one word of each caption is masked. Which word this is depends on the caption's row
    in the batch or micro-batch, and changes with every forward pass. The loss of a pair is -log
    p(word | picture, other words). In evaluation each word is masked in turn, and the loss of a
    pair is the sum over its words. So the score of a name is its pseudo-log-likelihood.
    Lower bound of the loss on a batch: 0, if the picture and the other words always tell the word.
    Left out: ICMLM's choice of concepts to mask, its attention over the grid, and BERT's weights.
    """

    objective = "masked_words"

    def build(self, clip):
        super().build(clip)
        self.mask_embedding = nn.Parameter(0.02 * torch.randn(self.config["text_width"]))
        self.register_buffer("turn", torch.zeros((), dtype=torch.int64))  # forward passes so far

    def pair_losses(self, features, tokens):
        """-log p of one word of each caption, or in evaluation the sum over all of its words:
        (N, channels * cells), (N, L) int64 -> (N,)."""
        words, first = is_word(tokens).sum(1), torch.zeros_like(tokens[:, 0])
        if not self.training:
            each = (self.masked_losses(features, tokens, first + k) for k in range(words.max()))
            return sum(each, first)
        turn = self.turn + torch.arange(len(tokens), device=tokens.device)
        self.turn += 1
        return self.masked_losses(features, tokens, turn % words.clamp(min=1))

    def masked_losses(self, features, tokens, word):
        """-log p of one word of each caption, (N,). word: the word's number in its caption, from 0,
        (N,) int64. The loss is 0 where the caption has no word of this number."""
        words, position = is_word(tokens), (word + 1)[:, None].clamp(max=tokens.shape[1] - 1)
        masked = torch.arange(tokens.shape[1], device=tokens.device) == position
        text = torch.where(masked[:, :, None], self.mask_embedding, self.token_embedding(tokens))
        x = at_end_token(self.read(features, text), tokens)  # (N, D)
        return self.log_losses(x, tokens.gather(1, position)).where(word < words.sum(1), 0)
