"""train.py's options together: each row trains as the plain run does, or is refused in one sentence."""

import itertools
import json

import pytest
from PIL import Image, ImageDraw

import train

FACTORS = {
    "precision": ("fp32", "bf16", "fp16"),
    "micro_batch": (None, 20),
    "grad_checkpointing": (False, True),
    "half_moments": (False, True),
    "workers": (0, 2),
}
# every pair of values of two factors stands in some row
ROWS = [
    ("fp32", None, False, False, 0),  # the plain run
    ("fp32", 20, True, True, 2),
    ("bf16", None, True, False, 2),
    ("bf16", 20, False, True, 0),
    ("fp16", None, False, True, 2),
    ("fp16", 20, True, False, 0),
]
PLAIN = ROWS[0]
COMPILED = [("vit_mini", ("fp32", 20, True, False, 0)), ("rn_mini", ("fp32", None, True, False, 0))]
CASES = [(model, row, False) for model in ("vit_mini", "rn_mini") for row in ROWS[1:]]
CASES += [(model, row, True) for model, row in COMPILED]


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
    """The losses of three steps on all pairs, or the exit code and the sentence of a refusal."""
    options = dict(zip(FACTORS, row), model=model, data=pairs_csv, out=out, batch_size=64, steps=3,
                   compile=compiled, log_every=1, threads=1, warmup=0.1)  # fmt: skip
    arguments = []
    for name, value in options.items():
        if value not in (None, False):
            flag = "--" + name.replace("_", "-")
            arguments += [flag] if value is True else [flag, str(value)]
    assert train.main(arguments) == 0
    return [json.loads(line)["loss"] for line in (out / "log.jsonl").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("model, row, compiled", CASES)
def test_x(model, row, compiled, pairs_csv, tmp_path):
    print(
        "ZZ",
        model,
        row,
        compiled,
        losses(pairs_csv, tmp_path / "plain", model, PLAIN, False),
        losses(pairs_csv, tmp_path / "run", model, row, compiled),
    )
