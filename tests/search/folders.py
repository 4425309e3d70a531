"""What the tests of the search share: folders of pictures, and checkpoints of small random models."""

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

import miniclip
from miniclip.model.clip import create_model
from miniclip.search.database import Index, database_in
from tests.weights.models import our_checkpoint


def tiny_checkpoint(path, seed=0):
    """A checkpoint of a model for pictures of 16 pixels; returns its path as a str."""
    torch.manual_seed(seed)
    shape = dict(image_size=16, vision_width=32, vision_layers=1, text_layers=1, context_length=77)
    our_checkpoint(create_model("vit_mini", vocab_size=520, **shape), path)
    return str(path)


def fill(folder, count, seed=0, side=20):
    """Write `count` pictures of noise, 00000.png and so on, some in folders below."""
    rng = np.random.default_rng(seed)
    for k in range(count):
        below = folder / ("" if k % 3 else f"below/deep {k % 2}")
        below.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (3, 3, 3), np.uint8))
        coarse.resize((side, side)).save(below / f"{k:05d}.png")


@torch.inference_mode()
def fresh(checkpoint, pictures=(), texts=()):
    """What miniclip.load's model says of paths of pictures, or of texts: (N, E) fp32."""
    model, tokenizer, preprocess = miniclip.load(checkpoint)
    if texts:
        return model.encode_text(tokenizer([*texts]), normalize=True)
    images = torch.stack([preprocess(Image.open(path)) for path in pictures])
    return model.encode_image(images, normalize=True)


def agrees_with(index, checkpoint, rows=None):
    """Assert that rows of an index (None: all) are what the model says of their pictures."""
    rows = range(len(index)) if rows is None else rows
    stored = torch.from_numpy(index.features[rows]).float()
    difference = (stored - fresh(checkpoint, map(index.path, rows))).abs().max()
    # rounding to 16 bits: half a unit in the last place of numbers below 1, 2^-12 (normal
    # numbers); and fp32 sums in another order
    assert difference < 2**-12 + 1e-5, difference


def random_index(root, count, width=8, seed=0, paths=None, **changed):
    """An Index of random unit features of pictures that are not there."""
    rng = np.random.default_rng(seed)
    features = F.normalize(torch.from_numpy(rng.normal(size=(count, width))), dim=1)
    about = dict(digest="d" * 64, file="model.pt", activation="gelu", root=root) | changed
    return Index(paths or [f"{k}.png" for k in range(count)], features.half().numpy(), **about)


def write_index(index, place):
    """Append an Index to the database in the folder `place`."""
    place.mkdir(parents=True, exist_ok=True)
    stamps = [(k, k * 10**12, b"%016d" % k) for k in range(len(index))]
    with database_in(place, write=True) as database:
        index.save(database, place, stamps)


def said(main, arguments, capsys):
    """What a command prints that ends with 0."""
    assert main([str(a) for a in arguments]) == 0
    return capsys.readouterr().out
