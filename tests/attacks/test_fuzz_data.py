"""One flipped bit in a tar or a picture costs what it touches, at most: read, or named as left out.

No crash, no traceback, at most 10 s each and 1 GB. Neither a picture nor the content of a tar has a
checksum, so a changed picture or caption cannot be noticed.
"""

import functools
import io
import random
import sys
import tarfile

import pytest

from tests.attacks import Row, runner
from tests.data.tars import pictures, survive

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, and reads /proc")


def shard(form):
    """The bytes of a tar of six pairs in one of tarfile's formats, and how many they are."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as tar:
        for k, (suffix, data) in enumerate(pictures().items()):
            key = f"{'folder/' * (20 if k == 2 else 0)}{k}"  # one is too long for an old header
            for name, content in ((suffix, data), ("txt", b"one"), ("json", b'{"caption": "two"}')):
                info = tarfile.TarInfo(f"{key}.{name}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


FILES = {f"a.{suffix}": data for suffix, data in pictures().items()}
FORMS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
FILES |= {name: shard(form) for name, form in zip(("ustar.tar", "gnu.tar", "pax.tar"), FORMS)}


def flip(name, seeds, folder):
    """Flip one bit of a file for each seed, and read all that is left."""
    source = folder / "in"
    source.mkdir()
    (source / "a.txt").write_text("a word")
    (source / "sound.png").write_bytes(FILES["a.png"])
    (source / "sound.txt").write_text("a word")
    for seed in seeds:
        data, rng = bytearray(FILES[name]), random.Random(seed)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        (source / name).write_bytes(data)
        is_tar = name.endswith(".tar")
        read, skipped = survive(source / name if is_tar else source, folder, seconds=10)
        pairs = 6 if is_tar else 2
        assert read + skipped >= pairs, f"seed {seed}: {read} of {pairs} pairs, and {skipped} named"


@pytest.mark.parametrize(
    "name, count",
    [(name, 20) for name in FILES]
    + [pytest.param(name, 500, marks=pytest.mark.slow) for name in FILES],
)
def test_a_flipped_bit_costs_only_what_it_touches(name, count, tmp_path, monkeypatch):
    monkeypatch.setenv("MINICLIP_CACHE", str(tmp_path))
    for start in range(0, count, 100):
        seeds = range(start, min(start + 100, count))
        row = Row(functools.partial(flip, name, seeds), 0, "", 600, 1000, False)
        came = runner.run(row)
        assert came["code"] == 0 and came["mb"] <= row.mb, came
