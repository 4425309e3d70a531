"""Predicting the caption from the picture (CLIP, section 2.3): what these objectives have in common, and the
simplest of them, which predicts the words of the caption without their order (Joulin et al. 2016;
CLIP, figure 2)."""

import torch
from torch import nn

from miniclip.bpe.cleaning import has_words
from miniclip.common import UserError, refuse
from miniclip.model.clip import CLIP, evaluating, pictures
from miniclip.model.text import check_tokens, is_word

ROWS = 512  # pairs of a picture and a name that are scored at a time


class Predictive(nn.Module):
    """CLIP's picture tower, and something that predicts words from it.

    The loss of a pair is -log p of the caption, or of its words, given the picture. The score of a
    name is this number with the opposite sign. The loss of a batch is a mean over its pairs, so
    training with micro-batches is exact, except for batch norm and for the choice of the words that
    masked_words masks. config: the config of a CLIP; with the same seed, the picture tower begins
    with the same weights as the CLIP's. A subclass defines:

    encode_image(images, normalize=False): (N, 3, H, W) -> (N, K), from which pair_losses predicts.
        normalize has no meaning, since these features are compared with nothing.
    pair_losses(features, tokens): (N, K) from encode_image, (N, L) int64 -> (N,), in nats.
    """

    shared_space = False

    def __init__(self, **config):
        super().__init__()
        clip = CLIP(**config)
        self.visual = clip.visual
        self.config = clip.config | {"objective": self.objective}
        self.build(clip)

    def build(self, clip):
        """Add what predicts the words. It may use the text tower of `clip`, which is a new CLIP."""

    def forward(self, images, tokens):
        """The losses of the pairs, (N,). Raises UserError for other shapes or dtypes, and, on a CPU
        only, for ids that are not in the vocabulary."""
        images = pictures(images, self.visual.conv1.weight.dtype)
        most = self.config["vocab_size"] - 1
        check_tokens(tokens, self.config["context_length"])
        refuse(
            {
                f"{len(images)} pictures and {len(tokens)} captions are no pairs": (
                    not len(images) == len(tokens) > 0
                ),
                f"ids of tokens must be 0 to {most} for this model": (
                    tokens.device.type == "cpu"
                    and not torch.compiler.is_compiling()
                    and bool((tokens.clamp(0, most) != tokens).any())
                ),
            }
        )
        return self.pair_losses(self.encode_image(images), tokens.long())

    def batch_loss(self, images, tokens):
        """The mean loss of a batch, 0-d: images (N, 3, H, W), tokens (N, L) int64."""
        return self(images, tokens).mean()

    def encode_text(self, tokens, normalize=False):
        """Raises UserError: a text has no features of its own here."""
        raise UserError(
            f"a model trained with --objective {self.objective} has no space that pictures and texts "
            "share, so it does zero-shot only, no retrieval and no search"
        )

    @torch.inference_mode()
    def name_scores(self, features, tokenizer, names, templates):
        """The score of each name for each picture, which is -pair_losses averaged over the
        templates: (K, classes) fp32 on the CPU. features: (K, ...), what encode_image returned.

        Raises UserError for a name without words, whose score would be the highest of all, and for
        a text that does not fit into the context."""
        refuse({"a class name is empty, or has no words": not all(map(has_words, names))})
        device = next(self.parameters()).device
        texts = [template.replace("{}", name) for name in names for template in templates]
        tokens = [tokenizer([text], trim=True, truncate=False).to(device) for text in texts]
        scores = torch.empty(len(features), len(texts))
        with evaluating(self):
            for rows in torch.arange(len(features)).split(ROWS) if len(features) else ():
                some = features[rows].to(device)
                for k, text in enumerate(tokens):
                    scores[rows, k] = (
                        -self.pair_losses(some, text.expand(len(rows), -1)).float().cpu()
                    )
        return scores.unflatten(1, (len(names), len(templates))).mean(2)


class BagOfWords(Predictive):
    """A linear layer over the picture's features, and a softmax over the vocabulary.

    The target of a caption with k different words is 1/k for each of them. Lower bound of the loss on
    a batch: the mean of log k, the entropy of the target. It is reached when the picture tells the
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
        again = (tokens[:, :, None] == tokens[:, None, :]).tril(-1).any(2)  # words count once
        target = is_word(tokens) & ~again
        return -(features.gather(1, tokens) * target).sum(1) / target.sum(1).clamp(min=1)
