"""The objectives with a space that pictures and texts share: CLIP's own (section 2.3), CLIP's with
a bag of words as the text (figure 2), and SigLIP's (Zhai et al. 2023), which asks of every picture
with every text whether the two belong together."""

import math

import torch
from torch import nn

from miniclip.common import refuse
from miniclip.loss import contrastive_loss
from miniclip.model.clip import CLIP
from miniclip.model.text import is_word, vectors_of


class Contrastive(CLIP):
    """CLIP and its loss on a batch, which comes from ConVIRT (Zhang et al. 2020).

    Lower bound of the loss on N pairs: log(1 + (N - 1) exp(-s N / (N - 1))) at the scale s. It is
    reached if each picture has the same direction as its caption, and if the N directions are as
    far apart as possible (which needs E >= N - 1). At the largest scale, 100, this is 0 to nine
    digits for N up to 32,768. Equal captions cannot be told apart, so c equal captions in a batch
    add log c to the loss of each of their pairs.
    projection: "linear" as in CLIP, or "mlp" as in ConVIRT and SimCLR, where ReLU and a second
    linear layer follow the projection of each tower.
    """

    objective = "contrastive"

    def __init__(self, *, projection="linear", **config):
        super().__init__(**config)
        known = ("linear", "mlp")
        refuse({f"projection must be linear or mlp, not {projection!r}": projection not in known})
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
        """The mean loss, 0-d, from the log of the scale and the features (N, E), not normalized."""
        return contrastive_loss(image, text, logit_scale)


class ContrastiveBow(Contrastive):
    """CLIP whose text feature is the mean of the words' embeddings, projected into the shared space.

    Lower bound of the loss on a batch: as for Contrastive. Captions with the same words in the same
    proportions are equal here. Left out: the Transformer, and with it the positions.
    """

    objective = "contrastive_bow"

    def __init__(self, **config):
        super().__init__(**config)
        del self.transformer, self.positional_embedding, self.ln_final
        self.config["objective"] = self.objective

    def encode_text(self, tokens, normalize=False):
        """(N, L) int64 -> (N, E). normalize: divide each row by its length. Raises ValueError as
        vectors_of does."""
        vectors = vectors_of(tokens, self.token_embedding, self.config["context_length"])
        words = is_word(tokens).unsqueeze(2)
        mean = (vectors * words).sum(1) / words.sum(1).clamp(min=1)  # (N, D)
        return self.project("text", mean @ self.text_projection, normalize)


class Sigmoid(Contrastive):
    """CLIP's towers, and a sigmoid of each of the N x N similarities instead of two softmaxes.

    The loss is -(1/N) sum over i, j of log sigmoid(z_ij (s cosine_ij + bias)), where z is 1 for a pair
    and -1 otherwise. At the start s is 10 and the bias -10, because nearly all z are -1.
    Lower bound of the loss on N pairs at the scale s: the minimum over m of
    log(1 + exp(-m)) + (N - 1) log(1 + exp(m - s c)). Here c = N / (N - 1) is the largest distance
    between the cosine of a pair and the other cosines. At the largest scale, 100, the bound is 0 to
    nine digits. Equal captions cannot be told apart, so each of their pairs has a higher loss.
    The whole N x N matrix is in memory, with 4 N^2 bytes per copy. The block operations of kernels/
    would not help, because they compute the sums of a softmax.
    """

    objective = "sigmoid"

    def __init__(self, **config):
        super().__init__(**config)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.logit_bias = nn.Parameter(torch.tensor(-10.0))
        self.config["objective"] = self.objective

    def features_loss(self, image, text, logit_scale):
        """The loss, 0-d, from the log of the scale and the features (N, E), not normalized."""
        refuse(
            {
                f"features of {tuple(image.shape)} and {tuple(text.shape)} are no pairs": (
                    image.shape != text.shape or not len(image)
                )
            }
        )
        image, text = (nn.functional.normalize(side, dim=1) for side in (image, text))
        logits = logit_scale.exp() * image @ text.T + self.logit_bias  # (N, N)
        z = 2 * torch.eye(len(logits), dtype=logits.dtype, device=logits.device) - 1
        return -nn.functional.logsigmoid(z * logits).sum() / len(logits)
