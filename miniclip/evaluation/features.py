"""Features that are computed once in a report, and the baselines that need no training.

All parts of the report ask about the same few thousand pictures and the same class names, so a
FeatureCache encodes each of them once. From one command to the next, kept_images keeps the features of
pictures that come from packages. The baselines are the same model with random weights, and raw pixels:
they say how much of a score comes from training.
Left out: keeping the features of other pictures on the disk, because a file may change and keep its name.
"""

import functools
import hashlib
import json
from types import SimpleNamespace

import numpy as np
import torch
from PIL import __version__ as pillow
from tqdm import tqdm

from miniclip.data import cache
from miniclip.objectives import from_config, shared_space
from miniclip.zeroshot import classifier_weights, encode_images, readable_pictures


def picture_source(pictures):
    """A list of PIL pictures as a source of pictures: .image(i) is picture i."""
    return SimpleNamespace(image=pictures.__getitem__)


class FeatureCache:
    """A model and its tokenizer, with the image features and classifiers computed so far."""

    def __init__(self, model, tokenizer):
        self.model, self.tokenizer = model, tokenizer
        self._images = {}
        self._classifier = functools.cache(functools.partial(classifier_weights, model, tokenizer))

    def images(self, source, indices):
        """Unit features of source.image(i), i in indices: ((K, E) fp32, the K indices kept).

        A picture that cannot be read is left out. source: pairs, drawings, labelled pictures.
        """
        # the entry holds the source itself, so that its id is not given to another object
        known = self._images.setdefault(id(source), (source, {}))[1]
        new = list(dict.fromkeys(i for i in indices if i not in known))
        features, kept = encode_images(self.model, source, new)
        known |= dict.fromkeys(new) | dict(zip(kept, features))
        kept = [i for i in indices if known[i] is not None]
        return torch.stack([known[i] for i in kept]) if kept else features, kept

    def classifier(self, names, templates):
        """classifier_weights(names, templates): (E, classes) fp32."""
        return self._classifier(tuple(names), tuple(templates))

    def scores(self, images, names, templates):
        """How well each name fits each picture, for a model of any objective: (K, classes) fp32.

        images: (K, ...), what self.images gave. With a shared space the cosine to the classifier, else
        the mean over the templates of the name's log-likelihood, or that of its words.
        """
        if shared_space(self.model):
            return images @ self.classifier(names, templates)
        return self.model.name_scores(images, self.tokenizer, names, templates)

    def untrained(self):
        """The same architecture with random weights, as another FeatureCache."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = from_config(self.model.config)
        device = next(self.model.parameters()).device
        return FeatureCache(model.to(device).eval(), self.tokenizer)


def model_digest(model) -> str:
    """Which model this is, whatever file it was read from: the SHA-256, in hex, of its weights and
    of what its config says about their use."""
    used = {k: v for k, v in model.config.items() if k not in ("name", "checkpointing")}
    digest = hashlib.sha256(json.dumps(used, sort_keys=True).encode())
    for name, x in model.state_dict().items():
        digest.update(name.encode())
        digest.update(x.cpu().reshape(-1).numpy())
    return digest.hexdigest()


def kept_images(model, pairs, indices) -> tuple[torch.Tensor, list[int]]:
    """encode_images for pairs, from a file of the cache where possible: (features, indices kept).

    Only pictures of packages are kept, because all of these can be read. The file is known by the
    versions of the packages and of Pillow, the indices of the pictures, and the model's weights.
    """
    if not pairs.packages:
        return encode_images(model, pairs, indices)
    asked = hashlib.sha256(json.dumps([*indices]).encode()).hexdigest()
    model_and_pictures = {"model": model_digest(model), "pictures": asked, "pillow": pillow}
    made_of = model_and_pictures | pairs.packages

    def make():
        shown = tqdm(indices, desc="encoding pictures (once)", unit="", disable=None)
        return None, encode_images(model, pairs, shown)[0].numpy().tobytes()

    _, body = cache.load_or_make("features", made_of, make, "the features")
    features = torch.from_numpy(np.frombuffer(bytes(body), np.float32).copy())
    return features.view(len(indices), -1), list(indices)


def pixels(source, indices, side: int) -> tuple[torch.Tensor, list[int]]:
    """Pictures resized to side x side: ((K, side, side, 3) fp32 in 0..1, the K indices kept)."""
    small = [
        (i, np.asarray(picture.convert("RGB").resize((side, side))))  # bicubic
        for i, picture in readable_pictures(source, indices)
    ]
    rows = np.array([x for _, x in small], np.uint8).reshape(-1, side, side, 3)
    return torch.from_numpy(rows).float() / 255, [i for i, _ in small]


def raw_pixels(source, indices, side: int = 24) -> tuple[torch.Tensor, list[int]]:
    """Pictures as feature vectors, a baseline: ((K, 3 side side) fp32, the K indices kept)."""
    images, kept = pixels(source, indices, side)
    return images.flatten(1), kept


def examples(labelled, split):
    """A split of labelled pictures as (source, indices, labels), for encode_examples."""
    return labelled.pictures, labelled.splits[split], labelled.labels


def encode_examples(encode, source, indices, labels):
    """Features, labels and indices of the pictures that can be read: (K, D), (K,) int64, K indices.

    encode: a function (source, indices) such as FeatureCache.images or raw_pixels; labels: {index:
    int}.
    """
    features, kept = encode(source, indices)
    return features, torch.tensor([labels[i] for i in kept], dtype=torch.long), kept
