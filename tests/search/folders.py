"""What the tests of the search share: folders of pictures, and checkpoints of small random models."""

import types

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from miniclip.model.clip import create_model
from miniclip.search.index import Index, database_in
from tests.weights.models import our_checkpoint

CPU = types.SimpleNamespace(device="cpu", threads=None)  # as encode.add_options gives it


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


def random_index(root, count, width=8, seed=0, paths=None, **changed):
    """An Index of random unit features of pictures that are not there."""
    rng = np.random.default_rng(seed)
    features = F.normalize(torch.from_numpy(rng.normal(size=(count, width))), dim=1)
    model = dict(digest="d" * 64, file="model.pt", activation="gelu")
    numbers, hashes = np.arange(count), np.array([b"%016d" % k for k in range(count)], object)
    paths = paths or [f"{k}.png" for k in range(count)]
    fields = dict(sizes=numbers, mtimes=numbers * 10**16, hashes=hashes, root=root)
    return Index(paths, features.half().numpy(), **fields | model | changed)


def write_index(index, place, dropped=()):
    """Append an Index to the database in the folder `place`."""
    place.mkdir(parents=True, exist_ok=True)
    with database_in(place, write=True) as database:
        index.save(database, place, dropped)


def said(main, arguments, capsys):
    """What a command prints that ends with 0."""
    assert main([str(a) for a in arguments]) == 0
    return capsys.readouterr().out


def refusal(main, arguments, capsys):
    """The one sentence with which a command refuses its arguments and ends with 2."""
    try:
        main([str(a) for a in arguments])
    except SystemExit as stop:
        error = capsys.readouterr().err
        assert stop.code == 2 and error.count("\n") == 1 and "error: " in error, error
        return error
    raise AssertionError(f"{arguments} was not refused")
