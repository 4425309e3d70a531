"""What pip installs works outside the checkout: packages, data files, commands."""

import importlib.util
import os
import shutil
import sysconfig
import zipfile

import pytest

from tests.shared import ROOT, python

FROM_ELSEWHERE = """
import pathlib, sys
import miniclip, kernels

here = pathlib.Path(sys.prefix)
for package in (miniclip, kernels):
    assert here in pathlib.Path(package.__file__).parents, package.__file__
import torch
from importlib import resources
from miniclip.bpe import Tokenizer
from miniclip.data import open_pairs
from miniclip.data.emoji.emoji import read_table
from miniclip.data.icons.sample import sample

names = [row["name"] for row in read_table()]
assert len(names) > 3000
assert resources.files("miniclip.data.emoji").joinpath("UNICODE-LICENSE.txt").is_file()
assert resources.files("miniclip.search").joinpath("page.html").is_file()
assert resources.files("miniclip.bpe").joinpath("OPENAI-LICENSE.txt").is_file()
assert Tokenizer.openai().encode("a diagram") == [320, 22697]
tokenizer = Tokenizer.train(names[:200], 600)
model = miniclip.create_model("vit_mini", vocab_size=tokenizer.vocab_size)
image, text, scale = model(torch.zeros(2, 3, 64, 64), tokenizer(["a dog", "cat"], 32))
assert miniclip.contrastive_loss(image, text, model.logit_scale).isfinite()
assert open_pairs(None).image(0).size
assert len(sample()[0]) > 300
assert resources.files("miniclip.data.icons").joinpath("LICENSES.txt").is_file()
model, tokenizer, preprocess = miniclip.load("icons")
assert here in pathlib.Path(miniclip.weights.reading.find("icons")).parents
assert model.encode_text(tokenizer(["trash can"])).isfinite().all()
"""
PICTURES = """
import pathlib
from PIL import Image

pathlib.Path("in").mkdir()
for k in range(3):
    Image.new("RGB", (40, 30), (90 * k, 0, 0)).save(f"in/{k}.png")
"""


@pytest.mark.slow
def test_an_installed_wheel_works_outside_the_checkout(tmp_path):
    sources, elsewhere, place = (tmp_path / name for name in ("sources", "elsewhere", "venv"))
    for folder in ("miniclip", "kernels", "tests", "lessons"):
        shutil.copytree(ROOT / folder, sources / folder)
    for file in ("pyproject.toml", "README.md", "LICENSE", "train.py", "eval.py", "conftest.py"):
        shutil.copy(ROOT / file, sources)
    here = ["--no-build-isolation"] if importlib.util.find_spec("setuptools") else []
    python("-m", "pip", "wheel", "--no-deps", *here, "-w", tmp_path, sources)
    (wheel,) = tmp_path.glob("miniclip-*.whl")
    top = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"miniclip", "kernels"}

    python("-m", "venv", place)
    program = place / ("Scripts" if os.name == "nt" else "bin") / "python"
    python("-m", "pip", "install", "--no-deps", "--no-index", wheel, program=program)
    (site,) = place.rglob("site-packages")
    # the dependencies are those of the environment that runs this test
    (site / "outer.pth").write_text(sysconfig.get_path("purelib") + "\n")
    elsewhere.mkdir()
    alone = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    there = dict(program=program, cwd=elsewhere, env=alone)
    python("-c", FROM_ELSEWHERE, **there)
    assert "towers" in python("-m", "miniclip.benchmarks", "-h", **there)
    python("-c", PICTURES, **there)
    search = ["-m", "miniclip.search"]
    assert "3 pictures in" in python(*search, "index", "in", "--checkpoint", "icons", **there)
    assert python(*search, "find", "trash can", "in", **there).endswith("3 pictures\n")
