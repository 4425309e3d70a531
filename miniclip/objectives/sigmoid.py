"""Pairs one by one: does this caption belong to this picture? (SigLIP: Zhai et al. 2023)"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from miniclip.objectives.contrastive import Contrastive


class Sigmoid(Contrastive):
    """CLIP's towers, and a sigmoid of each of the N x N similarities instead of two softmaxes.

    The loss is -(1/N) sum over i, j of log sigmoid(z_ij (s cosine_ij + bias)), where z is 1 for a pair
    and -1 otherwise. At the start s is 10 and the bias -10, because nearly all z are -1.
    Lower bound of the loss on N pairs: at the scale s, log(1 + exp(-m)) + (N - 1) log(1 + exp(m - s c)),
    minimal over m, with c = N / (N - 1), the largest distance of cosines; 0 to nine digits at
    the largest scale, 100. Captions that are equal cannot be told apart, which costs each such pair more.
    The matrix is held whole, in 4 N^2 bytes a copy: the block operations of kernels/ are made of the
    sums of a softmax, which this loss does not need.
    """

    objective = "sigmoid"

    def __init__(self, **config):
        super().__init__(**config)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.logit_bias = nn.Parameter(torch.tensor(-10.0))
        self.config["objective"] = self.objective

    def features_loss(self, image, text, logit_scale):
        """From the features (N, E), not normalized, and the log of the scale: the loss, 0-d."""
        image, text = F.normalize(image, dim=1), F.normalize(text, dim=1)
        logits = logit_scale.exp() * image @ text.T + self.logit_bias  # (N, N)
        z = 2 * torch.eye(len(logits), dtype=logits.dtype, device=logits.device) - 1
        return -F.logsigmoid(z * logits).sum() / len(logits)
