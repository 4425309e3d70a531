"""Flipped bits in files of weights: refused in one sentence, or harmless; in our own formats no number
changes."""

import random
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import miniclip
from miniclip.common import UserError
from miniclip.training import checkpoint
from miniclip.weights import save_openclip
from tests.attacks import Row
from tests.attacks.runner import run
from tests.weights.models import our_checkpoint, tiny_release
from tests.weights.test_convert import openai_file

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(sys.platform != "linux", reason="forks, and reads /proc"),
]
FLIPS, BATCH = 500, 50


def released(model, path):
    our_checkpoint(model, path)
    state = checkpoint.load(path)
    half = {name: x.half() if x.ndim > 1 else x for name, x in state["model"].items()}
    checkpoint.save(path, state | dict(model=half, card={"seed": 0}))


FORMATS = {  # who writes the file, and whether it is ours
    "checkpoint": (our_checkpoint, True),
    "released": (released, True),
    "save_openclip": (save_openclip, True),
    "torchscript": (openai_file, False),
    "safetensors": (lambda model, path: save_file(model.state_dict(), path), False),
    "pickle": (lambda model, path: torch.save(model.state_dict(), path), False),
}


def load(path, data):
    """The state dict of a file of these bytes, or None where it is refused."""
    path.write_bytes(data)
    try:
        return miniclip.load(path, activation="quickgelu")[0].state_dict()
    except UserError as error:
        assert "\n" not in str(error) and len(str(error)) < 1000, error


@pytest.mark.parametrize("kind", FORMATS)
def test_a_flipped_bit_never_crashes_nor_changes_a_number_of_ours(kind, tmp_path, monkeypatch):
    write, ours = FORMATS[kind]
    write(tiny_release(monkeypatch).eval(), tmp_path / "w.pt")
    good = (tmp_path / "w.pt").read_bytes()
    weights, places = load(tmp_path / "w.pt", good), random.Random(0)
    assert weights is not None

    def batch(flips):
        for place, bit in flips:
            data = bytearray(good)
            data[place] ^= 1 << bit
            found = load(Path("flipped.pt"), data)
            same = found is None or all(torch.equal(x, weights[name]) for name, x in found.items())
            assert same or not ours, f"bit {bit} of byte {place} changed a number"

    ends = [*range(min(len(good), 3000)), *range(max(0, len(good) - 6000), len(good))]
    for _ in range(FLIPS // BATCH):
        flips = [
            (places.choice(ends) if places.random() < 0.7 else places.randrange(len(good)), bit)
            for bit in places.choices(range(8), k=BATCH)
        ]
        came = run(Row(lambda folder: batch(flips), 0, "", 60, 1024, True))
        assert came["code"] == 0, (came["code"], came["text"][-2000:])
