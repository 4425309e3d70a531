"""CLIP's own objective: which caption belongs to which picture (CLIP, section 2.3)."""

from torch import nn

from miniclip.loss import contrastive_loss
from miniclip.model.clip import CLIP


class Contrastive(CLIP):
    """CLIP with the loss of a batch. ConVIRT (Zhang et al. 2020) is its origin.

    Lower bound of the loss on N pairs: log(1 + (N - 1) exp(-s N / (N - 1))) at the scale s, when each
    picture meets its caption and all pairs are as far apart as N directions can be (E >= N - 1).
    This is 0 to nine digits at the largest scale, 100, for N up to 32,768. Captions that are equal
    cannot be told apart: c of them in a batch add log c to each of their pairs.
    projection: "linear" as in CLIP, or "mlp", ConVIRT's and SimCLR's head: ReLU and a second linear
    layer follow the projection of each tower.
    """

    objective, shared_space = "contrastive", True

    def __init__(self, *, projection="linear", **config):
        super().__init__(**config)
        self.heads, E = nn.ModuleDict(), self.config["embed_dim"]
        if projection == "mlp":
            self.config["projection"] = projection
            for side in ("image", "text"):
                self.heads[side] = nn.Sequential(nn.ReLU(), nn.Linear(E, E))

    def encode_image(self, images, normalize=False):
        """(N, 3, H, W) preprocessed pictures -> (N, E). normalize: divide each by its length."""
        return self.project("image", super().encode_image(images), normalize)

    def encode_text(self, tokens, normalize=False):
        """(N, L) int64 -> (N, E). normalize: divide each row by its length."""
        return self.project("text", super().encode_text(tokens), normalize)

    def project(self, side, x, normalize):
        """The rest of the projection, if it is an MLP: (N, E) -> (N, E)."""
        x = self.heads[side](x) if self.heads else x
        return nn.functional.normalize(x, dim=1) if normalize else x

    def batch_loss(self, images, tokens):
        """The mean loss of a batch, 0-d: images (N, 3, H, W), tokens (N, L) int64."""
        image, text, _ = self(images, tokens, normalize=False)
        return self.features_loss(image, text, self.logit_scale)

    def features_loss(self, image, text, logit_scale):
        """The same from the features (N, E), not normalized, and the log of the scale."""
        return contrastive_loss(image, text, logit_scale)
