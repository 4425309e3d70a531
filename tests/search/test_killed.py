"""50,000 pictures are indexed by a process that is killed twice."""

import pathlib
import subprocess
import sys
import time

import numpy as np
import pytest

from miniclip.common import UserError
from miniclip.search.database import Index
from tests.search.folders import agrees_with, fill

ROOT = pathlib.Path(__file__).parent.parent.parent
PICTURES = 50_000
COMMAND = """
import sys
from miniclip.search import build
build.PART_SECONDS = 1
sys.exit(build.main(sys.argv[1:]))
"""


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
    return indexed(place)


@pytest.mark.slow
def test_an_index_is_right_after_its_process_was_killed_twice(checkpoint, tmp_path):
    root, place = tmp_path / "in", tmp_path / "in/.miniclip"
    fill(root, PICTURES)
    paths = sorted(root.rglob("*.png"))
    broken = paths[::100]
    for k, path in enumerate(broken):
        path.write_bytes([path.read_bytes()[:-40], b"", b"no picture"][k % 3])

    command = [sys.executable, "-c", COMMAND, root, "--checkpoint", checkpoint]
    first, second = (killed_after_a_part(command, place) for _ in range(2))
    assert 0 < len(first) < len(second) < PICTURES and {*first} < {*second}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    good = PICTURES - len(broken)
    assert f"{good:,} pictures in" in done.stdout
    assert f"{good - len(second):,} read, {len(second):,} unchanged, 0 forgotten" in done.stdout
    for k, why in enumerate(("damaged", "an empty file", "not a picture that can be read")):
        assert f"{len(broken[k::3])} {why}" in done.stdout
    index = Index.open(place)
    expected = {*paths} - {*broken}
    assert sorted(index.paths) == sorted(p.relative_to(root).as_posix() for p in expected)
    assert [p.name for p in place.iterdir()] == ["index.sqlite"]
    sample = np.random.default_rng(0).choice(len(index), 500, replace=False)
    agrees_with(index, checkpoint, sample.tolist())
