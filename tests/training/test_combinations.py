"""train.py's options together: each row trains as the plain run does, or is refused in one sentence."""

import itertools
import math

import pytest
import torch
from PIL import Image, ImageDraw

import train
from miniclip.model.clip import MODELS
from tests.runs import log, run

pytestmark = pytest.mark.slow

PLAIN = "--workers 0"  # fp32, and nothing that follows
# every pair of values of two of these five options stands in some row, or in the plain run
ROWS = [
    "--micro-batch 20 --grad-checkpointing --half-moments --workers 2",
    "--precision bf16 --grad-checkpointing --workers 2",
    "--precision bf16 --micro-batch 20 --half-moments --workers 0",
    "--precision fp16 --half-moments --workers 2",
    "--precision fp16 --micro-batch 20 --grad-checkpointing --workers 0",
    "--grad-checkpointing --compile",  # takes minutes: test_torchrun.py has the micro-batches
]


@pytest.fixture(scope="module")
def pairs_csv(tmp_path_factory):
    """64 pairs: a coloured shape somewhere on a coloured ground, and what it is.

    With other pictures, or in another order, the first gradients of rn_mini can be too large for fp16,
    and the step is left out."""
    folder = tmp_path_factory.mktemp("pairs")
    colours, shapes = ("red", "green", "blue", "yellow"), ("rectangle", "ellipse")
    places = {"left": (4, 12, 28, 52), "right": (36, 12, 60, 52)}
    lines = []
    for ground, colour, shape, place in itertools.product(colours, colours, shapes, places):
        picture = Image.new("RGB", (64, 64), ground)
        getattr(ImageDraw.Draw(picture), shape)(places[place], fill=colour, outline="black")
        picture.save(folder / f"{len(lines)}.png")
        lines.append(f"{len(lines)}.png,{colour} {shape} on the {place} of a {ground} ground")
    (folder / "pairs.csv").write_text("\n".join(["filepath,caption", *lines]) + "\n")
    return folder / "pairs.csv"


def losses(pairs_csv, out, model, row):
    """The losses of three steps on all pairs to train on, seen whole, so that they are the same."""
    fixed = "--batch-size 64 --steps 3 --log-every 1 --warmup 0.1 --crop 1 --lr 2e-4"
    assert run(pairs_csv, out, "--model", model, *fixed.split(), *row.split()) == 0
    return [line["loss"] for line in log(out)]


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
    out = tmp_path_factory.mktemp("plain")
    return {m: losses(pairs_csv, out / m, m, PLAIN) for m in ("vit_mini", "rn_mini")}


@pytest.mark.parametrize("model", ["vit_mini", "rn_mini"])
@pytest.mark.parametrize("row", ROWS)
def test_a_row_trains_as_the_plain_run_or_is_refused(
    model, row, plain, pairs_csv, tmp_path, capsys
):
    capsys.readouterr()
    try:
        first, _, third = losses(pairs_csv, tmp_path / "run", model, row)
    except SystemExit as stop:
        said = capsys.readouterr().err
        assert stop.code == 2 and said.count("\n") == 1, said
        return
    if model == "rn_mini" and "--micro-batch" in row:  # each part is normalized by its statistics
        assert math.isfinite(third) and third < first, f"the loss went from {first} to {third}"
        return
    of_first, _, of_third = plain[model]
    [dtype] = [t for name, t in train.PRECISIONS.items() if name in row] or [torch.float32]
    tolerance = rounding(model, dtype)
    assert abs(first - of_first) <= tolerance, f"{first} is not {of_first} +- {tolerance:.1e}"
    assert abs(third / of_third - 1) <= 0.02, f"the third loss is {third}, not about {of_third}"
