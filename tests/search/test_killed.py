"""50,000 pictures are indexed by a process that is killed twice."""

import pathlib
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image

import miniclip
from miniclip.common import UserError
from miniclip.data import open_pairs
from miniclip.search.index import Index
from tests.search.folders import tiny_checkpoint

ROOT = pathlib.Path(__file__).parent.parent.parent
PICTURES = 50_000
TURNS = [(0, 1, 2), (1, 2, 0), (2, 0, 1), (0, 2, 1), (1, 0, 2), (2, 1, 0)]  # of the three colours
COMMAND = """
import sys
from miniclip.search import build
build.PART_SECONDS = 1
sys.exit(build.main(sys.argv[1:]))
"""


def drawings():
    """Small pictures of icons and of emoji in several colours, (32, 32, 3) uint8, in order."""
    for turn in TURNS:
        emoji = open_pairs()
        for i in range(len(emoji)):
            yield np.asarray(emoji.image(i).resize((32, 32)))[..., turn]
    icons = open_pairs("icons")
    for i in range(len(icons)):
        colour = np.array([i % 5, i % 7, i % 11]) * 20
        yield np.maximum(np.asarray(icons.image(i).resize((32, 32))), colour.astype(np.uint8))


def break_file(path, k):
    data = path.read_bytes()
    path.write_bytes([data[: len(data) // 2], b"", b"no picture"][k % 3])


def indexed(place):
    """The pictures that are in the index now."""
    try:
        return Index.open(place).paths
    except UserError:
        return []


def killed_after_a_part(command, place):
    """Start a process, and kill it as soon as it has written one more part."""
    before = len(indexed(place))
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)
    while len(indexed(place)) == before:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    process.kill()
    process.communicate()


@pytest.mark.slow
def test_an_index_is_right_after_its_process_was_killed_twice(tmp_path):
    root, place, checkpoint = tmp_path / "in", tmp_path / "in/.miniclip", tmp_path / "c.pt"
    tiny_checkpoint(checkpoint)
    paths = []
    for k, drawing in zip(range(PICTURES), drawings()):
        paths.append(root / f"{k // 1000:02d}/{k:05d}.png")
        paths[-1].parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(drawing).save(paths[-1], compress_level=1)
    assert len(paths) == PICTURES
    broken = paths[::100]
    for k, path in enumerate(broken):
        break_file(path, k)

    command = [sys.executable, "-c", COMMAND, root, "--checkpoint", checkpoint]
    kept = []
    for _ in range(2):
        killed_after_a_part(command, place)
        kept.append(Index.open(place).paths)
    assert 0 < len(kept[0]) < len(kept[1]) < PICTURES and {*kept[0]} < {*kept[1]}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    good = PICTURES - len(broken)
    assert f"{good:,} pictures in" in done.stdout
    assert f"{good - len(kept[1]):,} read, {len(kept[1]):,} unchanged, 0 forgotten" in done.stdout
    for k, why in enumerate(("damaged", "an empty file", "not a picture that can be read")):
        assert f"{len(broken[k::3])} {why}" in done.stdout
    check(root, place, {*paths} - {*broken}, checkpoint)


def check(root, place, expected, checkpoint):
    """The index holds the expected paths, each once, and right features (of a sample)."""
    index = Index.open(place)
    assert sorted(index.paths) == sorted(p.relative_to(root).as_posix() for p in expected)
    assert [p.name for p in place.iterdir()] == ["index.sqlite"]
    rng, (model, _, preprocess) = np.random.default_rng(0), miniclip.load(checkpoint)
    rows = [*rng.choice(len(index), 500, replace=False)]
    images = torch.stack([preprocess(Image.open(index.path(row))) for row in rows])
    with torch.inference_mode():
        fresh = model.encode_image(images, normalize=True)
    stored = torch.from_numpy(index.features[rows]).float()
    assert (stored - fresh).abs().max() < 2**-12 + 1e-5  # rounding to 16 bits; sums in fp32
