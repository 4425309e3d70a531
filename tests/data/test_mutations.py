"""Mutated data: a tar, a csv or a picture that was damaged is skipped alone.

Each case is opened, read whole in batches and asked for its captions. It must end in pairs and
named skips that together are all there was, or in one sentence, and must write nothing anywhere.
"""

import io
import json
import tarfile

import numpy as np
import pytest

from tests.data.tars import cache_folder, picture, pictures, survive, write_tar  # noqa: F401

pytestmark = pytest.mark.usefixtures("cache")
SAMPLES = 6


def mutate(data, rng):
    """Bytes with one of the things that happen to files: flips, a cut, zeros, noise, a doubling."""
    data = bytearray(data)
    at, length = int(rng.integers(len(data))), int(rng.integers(1, 2000))
    kind = rng.integers(6)
    if kind == 0:
        data[at] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        for at in rng.integers(len(data), size=int(rng.integers(2, 50))):
            data[at] ^= 1 << int(rng.integers(8))
    elif kind == 2:
        del data[at:]
    elif kind == 3:
        data[at : at + length] = bytes(len(data[at : at + length]))
    elif kind == 4:
        data[at : at + length] = rng.bytes(len(data[at : at + length]))
    else:
        data[at:at] = data[at : at + length]
    return bytes(data)


def shard(form):
    """The bytes of a tar of SAMPLES pairs."""
    members, own = [], pictures()
    for k, (suffix, data) in enumerate(own.items()):
        key = f"{'folder/' * (20 if k == 2 else 0)}{k:04d}"  # one is too long for an old header
        says = json.dumps({"caption": f"number {k}", "captions": [f"number {k}", "another"]})
        members += [(f"{key}.{suffix}", data), (f"{key}.txt", f"number {k}".encode())]
        members += [(f"{key}.json", says.encode())] * (k % 2)
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


FORMS = [shard(form) for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)]


def check_tar(seed, tmp_path):
    """Every pair of a mutated tar is read, or something is reported as skipped."""
    rng = np.random.default_rng(seed)
    path = tmp_path / "inside" / f"{seed}.tar"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(mutate(FORMS[seed % len(FORMS)], rng))
    read, skipped = survive(path, tmp_path)
    assert read >= SAMPLES or skipped, (
        f"{read} of {SAMPLES} pairs, and nothing is reported as skipped"
    )
    path.unlink()
    return skipped


def check_picture(seed, tmp_path):
    """A mutated picture in a folder is read, or named."""
    rng = np.random.default_rng(seed)
    folder = tmp_path / f"pictures{seed}"
    folder.mkdir()
    own = pictures()
    suffix, data = list(own.items())[seed % len(own)]
    wrong = suffix if rng.random() < 0.8 else ["png", "jpg", "tiff"][int(rng.integers(3))]
    (folder / f"a.{wrong}").write_bytes(mutate(data, rng))
    (folder / "a.txt").write_bytes(mutate("eins\nzwei, größer".encode(), rng))
    (folder / "b.png").write_bytes(own["png"])
    (folder / "b.txt").write_text("sound")
    read, skipped = survive(folder, tmp_path)
    assert read + skipped == 2, (read, skipped)
    return skipped


def check_csv(seed, tmp_path):
    """A mutated csv gives pairs that can be read, or one sentence."""
    rng = np.random.default_rng(seed)
    path = tmp_path / f"{seed}.csv"
    (tmp_path / "a.png").exists() or (tmp_path / "a.png").write_bytes(picture("PNG"))
    rows = ["filepath,caption", *(f'a.png,"caption {k}, größer"' for k in range(4))]
    rows += ["../../../etc/passwd,outside", "/dev/zero,for ever", "b.png,missing"]
    path.write_bytes(mutate("\r\n".join(rows).encode(), rng))
    _, skipped = survive(path, tmp_path)
    path.unlink()
    return skipped


CHECKS = [check_tar, check_picture, check_csv]


@pytest.mark.parametrize("check", CHECKS)
def test_a_mutation_costs_only_what_it_damages(check, tmp_path):
    assert sum(check(seed, tmp_path) for seed in range(40)) > 0


@pytest.mark.slow
@pytest.mark.parametrize("check, count", [*zip(CHECKS, (600, 300, 200))])
def test_each_of_a_thousand_mutations_costs_only_what_it_damages(check, count, tmp_path):
    assert sum(check(seed, tmp_path) for seed in range(1000, 1000 + count)) > 0
