"""One flipped bit in a tar or a picture costs what it touches, at most: read, or named as left out.

No crash, no traceback, at most 10 s each and 1 GB. Neither a picture nor the content of a tar has a
checksum, so a changed picture or caption cannot be noticed.
"""

import functools
import importlib.util
import random
import sys
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from tests.attacks import Row, runner
from tests.data.tars import heic, pictures, survive, write_tar

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, and reads /proc")


FILES = {f"a.{suffix}": data for suffix, data in pictures().items()}
if importlib.util.find_spec("pillow_heif"):
    FILES["a.heic"] = heic(Image.effect_noise((32, 24), 99).convert("RGB"))
FORMS = {
    "ustar.tar": tarfile.USTAR_FORMAT,
    "gnu.tar": tarfile.GNU_FORMAT,
    "pax.tar": tarfile.PAX_FORMAT,
}


def members():
    """Six pairs of a tar, one of which has a name that is too long for an old header."""
    for k, (suffix, data) in enumerate(pictures().items()):
        key = f"{'folder/' * (20 if k == 2 else 0)}{k}"
        texts = (f"{key}.txt", b"one"), (f"{key}.json", b'{"caption": "two"}')
        yield from ((f"{key}.{suffix}", data), *texts)


def flip(name, seeds, folder):
    """Flip one bit of a file for each seed, and read all that is left."""
    source = folder / "in"
    source.mkdir()
    (source / "a.txt").write_text("a word")
    (source / "sound.png").write_bytes(FILES["a.png"])
    (source / "sound.txt").write_text("a word")
    is_tar = name in FORMS
    whole = (
        Path(write_tar(folder / "whole", members(), FORMS[name])).read_bytes() if is_tar else b""
    )
    for seed in seeds:
        data, rng = bytearray(whole or FILES[name]), random.Random(seed)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        (source / name).write_bytes(data)
        read, skipped = survive(source / name if is_tar else source, folder, seconds=10)
        pairs = 6 if is_tar else 2
        assert read + skipped >= pairs, f"seed {seed}: {read} of {pairs} pairs, and {skipped} named"


@pytest.mark.parametrize(
    "name, count",
    [(name, 20) for name in (*FILES, *FORMS)]
    + [pytest.param(name, 500, marks=pytest.mark.slow) for name in (*FILES, *FORMS)],
)
def test_a_flipped_bit_costs_only_what_it_touches(name, count, tmp_path, monkeypatch):
    monkeypatch.setenv("MINICLIP_CACHE", str(tmp_path))
    for start in range(0, count, 100):
        seeds = range(start, min(start + 100, count))
        row = Row(functools.partial(flip, name, seeds), 0, "", 600, 1000, False)
        came = runner.run(row)
        assert came["code"] == 0 and came["mb"] <= row.mb, came
