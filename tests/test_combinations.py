"""train.py's options together: each row trains as the plain run does, or is refused in one sentence."""

import itertools
import json
import math

import pytest
import torch
from PIL import Image, ImageDraw

import train
from miniclip.clip import MODELS

FACTORS = {
    "precision": ("fp32", "bf16", "fp16"),
    "micro_batch": (None, 20),
    "checkpoint_blocks": (False, True),
    "half_moments": (False, True),
    "workers": (0, 2),
}
# (precision, micro_batch, ...): every pair of values of two factors stands in some row
ROWS = [
    ("fp32", None, False, False, 0),  # the plain run
    ("fp32", 20, True, True, 2),
    ("bf16", None, True, False, 2),
    ("bf16", 20, False, True, 0),
    ("fp16", None, False, True, 2),
    ("fp16", 20, True, False, 0),
]
PLAIN = ROWS[0]
COMPILED = ("fp32", None, True, False, 0)  # takes minutes: test_torchrun.py has the micro-batches
CASES = [(model, row, False) for model in ("vit_mini", "rn_mini") for row in ROWS[1:]]
CASES += [(model, COMPILED, True) for model in ("vit_mini", "rn_mini")]


def test_the_rows_cover_every_pair_of_options():
    covered = {pair for row in ROWS for pair in itertools.combinations(zip(FACTORS, row), 2)}
    for (a, of_a), (b, of_b) in itertools.combinations(FACTORS.items(), 2):
        for x, y in itertools.product(of_a, of_b):
            assert ((a, x), (b, y)) in covered, f"no row has {a} {x} and {b} {y}"


@pytest.fixture(scope="module")
def pairs_csv(tmp_path_factory):
    """64 pairs: a coloured shape somewhere on a coloured ground, and what it is."""
    folder = tmp_path_factory.mktemp("pairs")
    colours, shapes = ("red", "green", "blue", "yellow"), ("rectangle", "ellipse")
    lines = ["filepath,caption"]
    for k, (ground, colour, shape, place) in enumerate(
        itertools.product(colours, colours, shapes, ("left", "right"))
    ):
        picture = Image.new("RGB", (64, 64), ground)
        box = (4, 12, 28, 52) if place == "left" else (36, 12, 60, 52)
        getattr(ImageDraw.Draw(picture), shape)(box, fill=colour, outline="black")
        picture.save(folder / f"{k}.png")
        lines.append(f"{k}.png,{colour} {shape} on the {place} of a {ground} ground")
    (folder / "pairs.csv").write_text("\n".join(lines) + "\n")
    return folder / "pairs.csv"


def losses(pairs_csv, out, model, row, compiled):
    """The losses of three steps on all pairs to train on, seen whole, so that they are the same."""
    options = dict(zip(FACTORS, row), model=model, data=pairs_csv, out=out, batch_size=64, steps=3,
                   compile=compiled, log_every=1, threads=1, warmup=0.1, crop=1, lr=2e-4)  # fmt: skip
    arguments = []
    for name, value in options.items():
        if value not in (None, False) or name == "workers":
            flag = "--" + name.replace("_", "-")
            arguments += [flag] if value is True else [flag, str(value)]
    assert train.main(arguments) == 0
    return [json.loads(line)["loss"] for line in (out / "log.jsonl").read_text().splitlines()]


def rounding(model, dtype):
    """How far the first loss may be from the exact one when the towers compute in dtype.

    Each of about 8 results of each of 6 blocks is rounded, by u = eps / 2 of its size, each in a
    direction of its own: a feature is off by sqrt(48) u of its length. Of that error a unit vector
    in E dimensions sees 1 / sqrt(E), and a cosine has two such features. The scale, 1 / 0.07, turns
    cosines into logits, and the loss is a difference of two averages of logits. It is itself in
    float32, where it is about 4, after a sum of 64 terms: 64 u more of its size.
    """
    u, u32 = torch.finfo(dtype).eps / 2, torch.finfo(torch.float32).eps / 2
    cosine = math.sqrt(2 / MODELS[model]["embed_dim"]) * math.sqrt(8 * 6) * u
    return 2 / 0.07 * cosine + 64 * u32 * 4


@pytest.fixture(scope="module")
def plain(pairs_csv, tmp_path_factory):
    """The losses of the plain run of each model."""
    return {
        model: losses(pairs_csv, tmp_path_factory.mktemp("plain") / model, model, PLAIN, False)
        for model in ("vit_mini", "rn_mini")
    }


@pytest.mark.slow
@pytest.mark.parametrize("model, row, compiled", CASES)
def test_a_row_trains_as_the_plain_run_or_is_refused(
    model, row, compiled, plain, pairs_csv, tmp_path, capsys
):
    precision, micro_batch = row[:2]
    capsys.readouterr()
    try:
        first, _, third = losses(pairs_csv, tmp_path / "run", model, row, compiled)
    except SystemExit as stop:
        said = capsys.readouterr().err
        assert stop.code == 2 and said.count("\n") == 1, said
        return
    if model == "rn_mini" and micro_batch:  # each part is normalised by its own statistics
        assert math.isfinite(third) and third < first, f"the loss went from {first} to {third}"
        return
    of_first, _, of_third = plain[model]
    tolerance = rounding(model, train.PRECISIONS[precision])
    assert abs(first - of_first) <= tolerance, f"{first} is not {of_first} +- {tolerance:.1e}"
    assert abs(third / of_third - 1) <= 0.02, f"the third loss is {third}, not about {of_third}"
