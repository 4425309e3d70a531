"""CLIP's own objective: which caption belongs to which picture (CLIP, section 2.3)."""

from miniclip.loss import contrastive_loss
from miniclip.model.clip import CLIP


class Contrastive(CLIP):
    """CLIP with the loss of a batch. ConVIRT (Zhang et al. 2020) is its origin.

    Lower bound of the loss on N pairs: log(1 + (N - 1) exp(-s N / (N - 1))) at the scale s, when each
    picture meets its caption and all pairs are as far apart as N directions can be (E >= N - 1).
    This is 0 to nine digits at the largest scale, 100, for N up to 32,768. Captions that are equal
    cannot be told apart: c of them in a batch add log c to each of their pairs.
    """

    objective, shared_space = "contrastive", True

    def batch_loss(self, images, tokens):
        """The mean loss of a batch, 0-d: images (N, 3, H, W), tokens (N, L) int64."""
        image, text, _ = self(images, tokens, normalize=False)
        return self.features_loss(image, text, self.logit_scale)

    def features_loss(self, image, text, logit_scale):
        """The same from the features (N, E), not normalized, and the log of the scale."""
        return contrastive_loss(image, text, logit_scale)
