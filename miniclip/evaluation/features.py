"""The model as an examinee: what it has looked at and read once is remembered.

Every part of the report asks about the same few thousand pictures and the same class names. A
picture's feature and a class's weights do not depend on who asks, so each is computed once a report.
Left out: keeping features on the disk; a checkpoint that has trained on would be believed too long.
"""

import torch

from miniclip.data.dataset import BadPicture
from miniclip.evaluation.retrieval import encode_pictures
from miniclip.model.clip import CLIP
from miniclip.zeroshot import classifier_weights


class FeatureCache:
    """A model and its tokenizer, with a memory. `pictures` and `classifier` are what it offers."""

    def __init__(self, model, tokenizer):
        self.model, self.tokenizer = model, tokenizer
        self._seen, self._written = {}, {}

    def pictures(self, source, indices):
        """Unit features of source.image(i) for i in indices: ((K, E) fp32, the K indices kept).

        Pictures that cannot be read are left out. source: pairs, drawings, a labelled folder.
        """
        # the source itself stays in the memory, so that its id is not given to another
        seen = self._seen.setdefault(id(source), (source, {}))[1]
        new = list(dict.fromkeys(i for i in indices if i not in seen))
        features, kept = encode_pictures(self.model, source, new)
        seen.update({i: None for i in new})
        seen.update(zip(kept, features))
        kept = [i for i in indices if seen[i] is not None]
        if not kept:
            return torch.zeros(0, self.model.config["embed_dim"]), []
        return torch.stack([seen[i] for i in kept]), kept

    def classifier(self, names, templates):
        """classifier_weights(names, templates), written by the text encoder once: (E, classes)."""
        key = (tuple(names), tuple(templates))
        if key not in self._written:
            self._written[key] = classifier_weights(self.model, self.tokenizer, *map(list, key))
        return self._written[key]

    def untrained(self, seed=0):
        """The same towers with random weights: what the architecture brings without training."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = CLIP.from_config(self.model.config)
        return FeatureCache(model.to(self.model.logit_scale.device).eval(), self.tokenizer)


def raw_pixels(source, indices, side=24):
    """Pictures as flat floats, a yardstick: (K, 3 side side) fp32 in 0..1, and the K indices kept."""
    flat, kept = [], []
    for i in indices:
        try:
            picture = source.image(i)
        except BadPicture:
            continue
        small = picture.convert("RGB").resize((side, side))
        flat.append(torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8))
        kept.append(i)
    return torch.stack(flat).float() / 255 if flat else torch.zeros(0, 3 * side * side), kept
