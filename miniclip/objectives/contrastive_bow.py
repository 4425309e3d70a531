"""The contrastive objective with a text tower that ignores the order of words (CLIP, figure 2)."""

from miniclip.model.text import is_word
from miniclip.objectives.contrastive import Contrastive


class ContrastiveBow(Contrastive):
    """CLIP whose text feature is the mean of the words' embeddings, projected into the shared space.

    Lower bound of the loss on a batch: that of Contrastive. Captions with the same words in the same
    shares are equal here. Left out: the Transformer, and with it the positions.
    """

    objective = "contrastive_bow"

    def __init__(self, **config):
        super().__init__(**config)
        del self.transformer, self.positional_embedding, self.ln_final
        self.config["objective"] = self.objective

    def encode_text(self, tokens, normalize=False):
        """(N, L) int64 -> (N, E). normalize: divide each row by its length."""
        words = is_word(tokens).unsqueeze(2)
        mean = (self.token_embedding(tokens) * words).sum(1) / words.sum(1).clamp(min=1)  # (N, D)
        return self.project("text", mean @ self.text_projection, normalize)
