"""Features that are computed once, and the baselines that need no training.

All parts of the report ask about the same few thousand pictures and the same class names, so a
FeatureCache encodes each of them once. With keep=True the features of pictures also go into a file, and
the next command about the same weights reads them from there. The baselines are the same model with
random weights, and raw pixels: they show how much of a score comes from training.
"""

import functools
import hashlib
import json
from types import SimpleNamespace

import numpy as np
import torch
from PIL import __version__ as pillow

from miniclip.data import cache
from miniclip.data.threads import in_threads, read_all
from miniclip.objectives import from_config
from miniclip.zeroshot import (
    classifier_weights,
    encode_images,
    encode_pictures,
    encode_texts,
    products,
)

LAYOUT = 1  # of the kept features; must change when the code gives a picture other features


def picture_source(pictures):
    """PIL pictures, a list or a dict, as a source of pictures: .image(i) is picture i."""
    return SimpleNamespace(image=pictures.__getitem__)


class FeatureCache:
    """A model and its tokenizer, with the image features and classifiers computed so far. They
    belong to the weights that the model had, so make a new FeatureCache after the weights changed.
    keep: whether image features are also read from and written to a file of the cache
    (data/cache.py)."""

    def __init__(self, model, tokenizer, keep=False):
        self.model, self.tokenizer, self.keep = model, tokenizer, keep
        self._images = {}
        self._classifier = functools.cache(functools.partial(classifier_weights, model, tokenizer))

    @functools.cached_property
    def digest(self) -> str:
        """model_digest of the model."""
        return model_digest(self.model)

    def images(self, source, indices):
        """Unit features of source.image(i) for i in indices: ((K, E) fp32, the K indices kept).

        A picture that cannot be read is left out. source: pairs, drawings or labelled pictures.
        """
        indices = list(indices)  # an iterator could be read only once
        # the entry holds the source itself, so that its id is not given to another object
        known = self._images.setdefault(id(source), (source, {}))[1]
        new = list(dict.fromkeys(i for i in indices if i not in known))
        stamps = self.keep and hasattr(source, "stamp") and {i: source.stamp(i) for i in new}
        if stamps and all(stamps.values()):
            known |= self._kept_images(source, stamps)
        elif new:  # without stamps nothing tells whether a kept picture has changed
            features, kept = encode_images(self.model, source, new)
            known |= dict.fromkeys(new) | dict(zip(kept, features))
        kept = [i for i in indices if known[i] is not None]
        nothing = torch.zeros(0, self.model.config["embed_dim"])
        return torch.stack([known[i] for i in kept]) if kept else nothing, kept

    def unread(self, pairs):
        """[(name, reason)] of the pairs that were left out when they were opened, and of the
        pictures that could not be read."""
        _, known = self._images.get(id(pairs), (pairs, {}))
        unread = [(pairs.where(i), "cannot be read") for i, row in known.items() if row is None]
        return pairs.skipped + unread

    def _kept_images(self, source, stamps):
        """{i: the features of source.image(i), or None if it cannot be read} for {i: stamp}.

        The cache has a file for this model and source. Features that are in the file are read from
        it. The others are computed and added to the file, even if Ctrl-C stops the work halfway.
        """
        path = cache.path_of(
            "features",
            {
                "model": self.digest,
                "of": source.name,
                "pillow": pillow,
                "layout": LAYOUT,
                "device": next(self.model.parameters()).device.type,  # a GPU computes in 16 bits
            },
        )
        stamps = {
            i: hashlib.sha256(json.dumps(stamp).encode()).hexdigest() for i, stamp in stamps.items()
        }
        names, body = cache.read(path) or ([], np.empty(0, np.uint8))
        rows = torch.from_numpy(np.array(body).view(np.float32)).view(len(names) or 1, -1)
        known = dict(zip(names, rows))
        new = [i for i, stamp in stamps.items() if stamp not in known]
        try:
            for kept, features, _ in encode_pictures(self.model, source.image, new):
                known |= {stamps[i]: row for i, row in zip(kept, features)}
        finally:
            if len(known) > len(names):
                rows = torch.stack([*known.values()])
                cache.keep(path, [*known], rows.numpy().tobytes(), "the features")
        return {i: known.get(stamp) for i, stamp in stamps.items()}

    def texts(self, texts):
        """Unit features of some texts: (len(texts), E) fp32. They are not kept."""
        return encode_texts(self.model, self.tokenizer, texts)

    def classifier(self, names, templates):
        """classifier_weights(names, templates): (E, classes) fp32."""
        return self._classifier(tuple(names), tuple(templates))

    def scores(self, images, names, templates):
        """How well each name fits each picture, for a model of any objective: (K, classes) fp32.

        images: (K, ...), what self.images returned. If the model has a shared space, the score is
        the cosine to the name's column of the classifier. Otherwise it is the log-likelihood of the
        name, or of its words, averaged over the templates.
        """
        if self.model.shared_space:
            return products(images, self.classifier(names, templates))
        return self.model.name_scores(images, self.tokenizer, names, templates)

    def untrained(self):
        """The same architecture with random weights, as another FeatureCache."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = from_config(self.model.config)
        model.to(next(self.model.parameters()).device)
        return FeatureCache(model.eval(), self.tokenizer, self.keep)


def model_digest(model) -> str:
    """Which model this is, whatever file it was read from: the SHA-256, in hex, of its weights and
    of what its config says about their use."""
    used = {k: v for k, v in model.config.items() if k not in ("name", "checkpointing")}
    digest = hashlib.sha256(json.dumps(used, sort_keys=True).encode())
    for name, x in model.state_dict().items():
        digest.update(name.removeprefix("_orig_mod.").encode())  # of a model that is compiled
        digest.update(x.cpu().reshape(-1).view(torch.uint8).numpy())  # numpy has no bfloat16
    return digest.hexdigest()


def pixels(source, indices, side: int) -> tuple[torch.Tensor, list[int]]:
    """Pictures resized to side x side: ((K, side, side, 3) fp32 in 0..1, the K indices kept)."""

    def small(i):
        return np.asarray(source.image(i).convert("RGB").resize((side, side)))  # bicubic

    kept, rows = [], []
    for good, found, _ in in_threads(functools.partial(read_all, small), list(indices), 64):
        kept += good
        rows += found
    rows = np.array(rows, np.uint8).reshape(-1, side, side, 3)
    return torch.from_numpy(rows).float() / 255, kept


def raw_pixels(source, indices) -> tuple[torch.Tensor, list[int]]:
    """12 x 12 pixels of each picture as a feature vector, a baseline: ((K, 432) fp32, K
    indices)."""
    images, kept = pixels(source, indices, 12)
    return images.flatten(1), kept


def examples(labelled, split):
    """A split of labelled pictures as (source, indices, labels), for encode_examples."""
    return labelled.pictures, labelled.splits[split], labelled.labels


def encode_examples(encode, source, indices, labels, classes=None):
    """Features, labels and indices of the pictures that can be read: (K, D), (K,) int64, K indices.

    encode: a function (source, indices) such as FeatureCache.images or raw_pixels; labels: {index:
    int}; classes: the set of labels whose pictures are encoded, or None for all of them.
    """
    wanted = [i for i in indices if classes is None or labels[i] in classes]
    features, kept = encode(source, wanted)
    return features, torch.tensor([labels[i] for i in kept], dtype=torch.long), kept
