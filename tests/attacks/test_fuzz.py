"""One flipped bit in a file costs what it touches, at most: it is read, or refused in one sentence.

No crash, no traceback, at most 10 s each and 1 GB. In the files that miniclip writes itself no number
changes. Neither a picture nor the content of a tar has a checksum, so a changed picture or caption
cannot be noticed; but each pair is read, or named as left out.
"""

import functools
import importlib.util
import random
import shutil
import sys
import tarfile

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import miniclip
from miniclip.common import UserError
from miniclip.search.database import FILE, Index
from miniclip.training import checkpoint
from miniclip.weights import save_openclip
from tests.attacks import Row, runner
from tests.data.tars import heic, pictures, survive, write_tar
from tests.search.folders import random_index, write_index
from tests.weights.models import our_checkpoint, tiny_release
from tests.weights.test_convert import openai_file

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(sys.platform != "linux", reason="forks, and reads /proc"),
]
PICTURES = {f"a.{suffix}": data for suffix, data in pictures().items()}
if importlib.util.find_spec("pillow_heif"):
    PICTURES["a.heic"] = heic(Image.effect_noise((32, 24), 99).convert("RGB"))


def complete(source, folder, pairs):
    """A function that asserts that each pair of a source is read, or named as left out."""

    def check():
        read, skipped = survive(source, folder, seconds=10)
        assert read + skipped >= pairs, f"{read} of {pairs} pairs, and {skipped} named"

    return check


def unchanged(read, ours=True):
    """A function that asserts that read() gives what it gives now, or raises one sentence. Where a
    file is not of ours, only that it is read or refused."""
    good = read()

    def check():
        try:
            found = read()
        except UserError as error:
            assert "\n" not in str(error) and len(str(error)) < 1000, error
        else:
            torch.testing.assert_close(
                found, good if ours else found, rtol=0, atol=0, equal_nan=True
            )

    return check


# Each function below writes a file into a folder: (its path, a check of what is read from it)


def a_picture(name, folder):
    (folder / "in").mkdir()
    for path, data in ((name, PICTURES[name]), ("sound.png", PICTURES["a.png"])):
        (folder / "in" / path).write_bytes(data)
        (folder / "in" / path).with_suffix(".txt").write_text("a word")
    return folder / "in" / name, complete(folder / "in", folder, 2)


def a_csv(folder):
    path, rows = folder / "in" / "pairs.csv", ['a.png,"one"', 'a.png,"two"', 'a.jpg,"one"']
    path.parent.mkdir()
    for name in ("a.png", "a.jpg"):
        (path.parent / name).write_bytes(PICTURES[name])
    path.write_text("\n".join(["filepath,caption", *rows]))
    return path, complete(path, folder, 1)


def a_tar(form, folder):
    """Six pairs, one of which has a name that is too long for an old header."""
    members = []
    for k, (suffix, data) in enumerate(pictures().items()):
        key = f"{'folder/' * (20 if k == 2 else 0)}{k}"
        members += [(f"{key}.{suffix}", data), (f"{key}.txt", b"one")]
        members.append((f"{key}.json", b'{"caption": "two"}'))
    path = folder / "a.tar"
    shutil.move(write_tar(folder / "whole", members, form), path)
    return path, complete(path, folder, 6)


def a_model(write, ours, folder):
    path = folder / "w.pt"
    write(tiny_release(pytest.MonkeyPatch()).eval(), path)
    return path, unchanged(lambda: miniclip.load(path, "cpu", "quickgelu")[0].state_dict(), ours)


def released(model, path):
    our_checkpoint(model, path)
    state = checkpoint.load(path)
    half = {name: x.half() if x.ndim > 1 else x for name, x in state["model"].items()}
    checkpoint.save(path, state | dict(model=half, card={"seed": 0}))


def an_index(folder):
    paths = [f"some folder/{k}.png" for k in range(1000)]
    write_index(random_index(folder, 1000, paths=paths), folder / "index")

    def read():
        index = Index.open(folder / "index")
        return [index.features, hash(str(vars(index) | {"features": None, "stamp": None}))]

    return folder / "index" / FILE, unchanged(read)


FORMS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
QUICK = {"csv": a_csv} | {name: functools.partial(a_picture, name) for name in PICTURES}
QUICK |= {name: functools.partial(a_tar, form) for name, form in FORMS.items()}
MODELS = {  # who writes the file, and whether it is ours
    "checkpoint": (our_checkpoint, True),
    "released": (released, True),
    "save_openclip": (save_openclip, True),
    "torchscript": (openai_file, False),
    "safetensors": (lambda model, path: save_file(model.state_dict(), path), False),
    "pickle": (lambda model, path: torch.save(model.state_dict(), path), False),
}
KINDS = {name: functools.partial(a_model, *how) for name, how in MODELS.items()}
KINDS |= QUICK | {"index": an_index}


def flips(prepare, seeds, folder):
    """Check a file, and then after one bit of it was flipped, for each seed another one. Half of the
    bits are near its beginning or its end, where formats have their headers and tables."""
    path, check = prepare(folder)
    good = path.read_bytes()
    check()
    for seed in seeds:
        data, rng = bytearray(good), random.Random(seed)
        place = rng.randrange(-3000, 3000) if rng.random() < 0.5 else rng.randrange(len(data))
        data[place % len(data)] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        check()


@pytest.mark.parametrize(
    "name, count",
    [(name, 8) for name in QUICK]
    + [pytest.param(name, 500, marks=pytest.mark.slow) for name in KINDS],
)
def test_a_flipped_bit_costs_only_what_it_touches(name, count, tmp_path, monkeypatch):
    monkeypatch.setenv("MINICLIP_CACHE", str(tmp_path))
    for start in range(0, count, 100):
        seeds = range(start, min(start + 100, count))
        row = Row(functools.partial(flips, KINDS[name], seeds), 0, "", 600, 1000, False)
        came = runner.run(row)
        assert came["code"] == 0 and came["mb"] <= row.mb, came
