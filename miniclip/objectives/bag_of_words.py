"""Predict which words the caption has (Joulin et al. 2016; CLIP, section 2.3 and figure 2)."""

from torch import nn

from miniclip.model.text import is_word
from miniclip.objectives.predictive import Predictive


class BagOfWords(Predictive):
    """A linear layer over the picture's features, and a softmax over the vocabulary.

    The target of a caption with k different words is 1/k for each of them. Lower bound of the loss on
    a batch: the mean entropy of the targets, log k, which is reached when the picture tells the
    words. The score of a name is the mean log-probability of its words. Left out: words weighted or
    sampled by their frequency.
    """

    objective = "bag_of_words"

    def build(self, clip):
        self.words = nn.Linear(self.config["embed_dim"], self.config["vocab_size"])

    def encode_image(self, images, normalize=False):
        """The log-probability of every word: (N, 3, H, W) -> (N, vocab_size) fp32."""
        return self.words(self.visual(images)).float().log_softmax(1)

    def pair_losses(self, features, tokens):
        """Cross-entropies with the k-hot targets: (N, vocab_size), (N, L) int64 -> (N,)."""
        again = (tokens[:, :, None] == tokens[:, None, :]).tril(-1).any(2)  # counts once
        target = is_word(tokens) & ~again
        found = features.gather(1, tokens) * target
        return -found.sum(1) / target.sum(1).clamp(min=1)
