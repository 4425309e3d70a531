"""Hostile data: tars, csvs and pictures that were mutated or made to harm cost themselves alone.

Each case is opened, visited whole in batches and asked for its captions. It must end in pairs and
named skips that together are all there was, or in one sentence, and must write nothing anywhere.
"""

import contextlib
import io
import json
import os
import signal
import struct
import tarfile
import zlib

import numpy as np
import pytest
from PIL import Image

from miniclip.data import open_pairs, photo, report_skipped
from miniclip.data.batches import batches
from miniclip.data.index import MOST_PICTURE_BYTES, MOST_TEXT_BYTES
from miniclip.data.tar import scan
from tests.tars import cache_folder, picture, write_tar  # noqa: F401

pytestmark = pytest.mark.usefixtures("cache")
SAMPLES = 6


@contextlib.contextmanager
def no_hang(seconds=60):
    """A case that takes a minute hangs: most take milliseconds."""

    def ring(number, frame):
        pytest.fail(f"hangs: not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def files_below(folder):
    return {
        os.path.join(where, name): os.stat(os.path.join(where, name)).st_mtime_ns
        for where, _, names in os.walk(folder)
        for name in names
    }


def survive(source, outside):
    """Open a source and visit all of it: (pairs read, skips); a refusal is (0, 1).

    outside: a folder above the source, in which nothing may be written.
    """
    before = files_below(outside)
    with no_hang():
        try:
            pairs = open_pairs(source)
        except ValueError as error:
            assert str(error) and "\n" not in str(error) and len(str(error)) < 2000
            assert files_below(outside) == before
            return 0, 1
        visits = batches(pairs, range(len(pairs)), 1, 0, 0, 8, (0.5, 1))
        read, skipped = 0, list(pairs.skipped)
        for images, captions, bad in visits:
            assert len(images) == len(captions) and images.isfinite().all()
            assert all(c and c.encode() and "\n" not in c for c in captions)
            read, skipped = read + len(images), skipped + bad
        for i in range(len(pairs)):
            assert pairs.captions(i) and pairs.where(i)
        assert read + len(skipped) - len(pairs.skipped) == len(pairs)
        assert "\n" not in report_skipped(skipped)
    assert files_below(outside) == before
    return read, len(skipped)


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


def pictures():
    """One small picture of each kind that training data comes in."""
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (24, 32, 3), np.uint8))
    found = {}
    for suffix, kind in (
        ("jpg", "JPEG"), ("png", "PNG"), ("webp", "WEBP"), ("gif", "GIF"), ("bmp", "BMP"),
        ("tiff", "TIFF"),
    ):  # fmt: skip
        file = io.BytesIO()
        noise.save(file, kind)
        found[suffix] = file.getvalue()
    return found


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
    """A pair of a mutated tar is read or a skip is named: nothing is lost in silence."""
    rng = np.random.default_rng(seed)
    path = tmp_path / "inside" / f"{seed}.tar"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(mutate(FORMS[seed % len(FORMS)], rng))
    read, skipped = survive(path, tmp_path)
    assert read >= SAMPLES or skipped, f"{read} of {SAMPLES} pairs, and not a word of the others"
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
    """A mutated csv gives pairs that can be visited, or a sentence."""
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
def test_mutations_cost_themselves_alone(check, tmp_path):
    assert sum(check(seed, tmp_path) for seed in range(40)) > 0


@pytest.mark.slow
@pytest.mark.parametrize("check, count", [*zip(CHECKS, (600, 300, 200))])
def test_a_thousand_mutations_cost_themselves_alone(check, count, tmp_path):
    assert sum(check(seed, tmp_path) for seed in range(1000, 1000 + count)) > 0


def test_names_inside_a_tar_touch_nothing(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.jpg").write_bytes(picture(colour=(1, 2, 3)))
    names = [
        "../outside/secret",
        f"{outside}/secret",
        "../" * 30 + "evil",
        "a\0b",
        "C:\\evil",
        "~/e",
    ]
    names += ["\x1b[31mred", "-rf", "con", "a/../../b", ""]
    members = [(f"{n}.{s}", d) for n in names for s, d in (("jpg", picture()), ("txt", b"x"))]
    members += [("l.jpg", (tarfile.SYMTYPE, str(outside / "secret.jpg"))), ("l.txt", b"x")]
    members += [("h.jpg", (tarfile.LNKTYPE, "../outside/secret.jpg")), ("h.txt", b"x")]
    members += [("d.jpg", (tarfile.CHRTYPE, "")), ("f.txt", (tarfile.FIFOTYPE, ""))]
    (tmp_path / "in").mkdir()
    path = write_tar(tmp_path / "in" / "a.tar", members, tarfile.GNU_FORMAT)
    read, skipped = survive(path, tmp_path)
    assert read == len(names) - 1 and skipped == 5  # the NUL ends a name before its suffix
    pairs = open_pairs(path)
    assert all(pairs.image(i).getpixel((0, 0)) != (1, 2, 3) for i in range(len(pairs)))
    assert all("\x1b" not in report_skipped([(pairs.where(i), "x")]) for i in range(len(pairs)))


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, *chunks, bits=1):
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + b"".join(chunks)


def bombs():
    """Small files that unfold to much: {suffix: bytes}."""
    zeros = zlib.compress(bytes(1 << 26))
    rows = png_chunk(b"IDAT", zlib.compress(bytes(30_000 * 3751), 9)) + png_chunk(b"IEND", b"")
    small = png_chunk(b"IDAT", zlib.compress(bytes(2 * 8))) + png_chunk(b"IEND", b"")
    return {
        "pixels.png": png(30_000, 30_000, rows),
        "header.png": png(2**31 - 1, 2**31 - 1),
        "text.png": png(8, 8, png_chunk(b"zTXt", b"k\0\0" + zeros), small),
        "profile.png": png(8, 8, png_chunk(b"iCCP", b"k\0\0" + zeros), small),
        "rows.png": png(8, 8, png_chunk(b"IDAT", zeros), png_chunk(b"IEND", b"")),
        "screen.gif": b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + bytes(40),
        "frame.jpg": picture().replace(
            struct.pack(">HH", 16, 20), struct.pack(">HH", 65500, 65500)
        ),
        "strip.tiff": pictures()["tiff"].replace(struct.pack("<H", 32), struct.pack("<H", 65535)),
        "hole.bmp": b"BM"
        + struct.pack("<IIIIiiHH", 60, 0, 54, 40, 2**30, 2**30, 1, 24)
        + bytes(24),
    }


@pytest.mark.parametrize("name", bombs())
def test_what_unfolds_is_refused_before_it_does(name, tmp_path):
    data = bombs()[name]
    stem, suffix = name.split(".")
    (tmp_path / "in").mkdir()
    path = write_tar(tmp_path / "in/a.tar", [(f"{stem}.{suffix}", data), (f"{stem}.txt", b"x")])
    read, skipped = survive(path, tmp_path)
    assert read + skipped == 1
    if name in ("pixels.png", "header.png", "screen.gif", "frame.jpg", "hole.bmp"):
        with pytest.raises(photo.BadPicture):
            open_pairs(path).image(0)


def test_members_of_absurd_sizes_are_named_and_not_read(tmp_path):
    path = tmp_path / "a.tar"
    big = [("p.jpg", MOST_PICTURE_BYTES + 1), ("q.txt", MOST_TEXT_BYTES + 1), ("r.jpg", 1 << 40)]
    with open(path, "wb") as file:
        for name, size in big:
            info = tarfile.TarInfo(name)
            info.size = size
            file.write(info.tobuf(tarfile.GNU_FORMAT))
            if size < 1 << 30:
                file.seek(-(-size // 512) * 512, os.SEEK_CUR)  # a hole: zeros that take no disk
    with open(path, "rb") as file:
        assert [m[2] for m in scan(file, path.stat().st_size)][:3] == [size for _, size in big]
    write_tar(tmp_path / "b.tar", [("good.jpg", picture()), ("good.txt", b"x")])
    pairs = open_pairs(tmp_path / "{a,b}.tar")
    assert len(pairs) == 1
    assert [reason for _, reason in pairs.skipped][:2] == [
        "67,108,865 bytes: more than 64 MiB", "1,048,577 bytes: more than 1 MiB"]  # fmt: skip
    assert "cut off" in pairs.skipped[2][1]


@pytest.mark.parametrize("size", [0, 1, 511, 512, 5000, 1 << 40])
def test_a_file_of_zeros_is_no_shard(size, tmp_path):
    with open(tmp_path / "a.tar", "wb") as file:
        file.truncate(size)
    assert survive(tmp_path / "a.tar", tmp_path) == (0, 1)


def test_a_sample_that_became_zeros_is_not_lost_in_silence(tmp_path):
    members = [(f"{k}.{s}", d) for k in range(3) for s, d in (("txt", b"x"), ("jpg", picture()))]
    path = write_tar(tmp_path / "a.tar", members)
    with tarfile.open(path) as tar:
        first, end = (tar.getmember(name).offset for name in ("1.txt", "2.txt"))
    with open(path, "r+b") as file:
        file.seek(first)
        file.write(bytes(end - first))
    assert survive(path, tmp_path) == (2, 1)


def test_a_shard_that_shrinks_while_it_is_used_is_named(tmp_path):
    members = [(f"{k}.{s}", d) for k in range(4) for s, d in (("jpg", picture()), ("txt", b"x"))]
    path = write_tar(tmp_path / "a.tar", members)
    pairs = open_pairs(path)
    os.truncate(path, 3000)
    skipped = [s for _, _, bad in batches(pairs, range(4), 2, 0, 0, 8, (1, 1)) for s in bad]
    assert len(skipped) >= 3 and {reason for _, reason in skipped} == {
        "its shard has become shorter than when it was indexed"}  # fmt: skip
    os.unlink(path)
    assert open_pairs(write_tar(tmp_path / "b.tar", members)).image(0)


def test_each_broken_sample_is_named_with_its_reason(tmp_path):
    good = picture()
    path = write_tar(tmp_path / "a.tar", [
        ("good.jpg", good), ("good.txt", b"good"),
        ("latin.jpg", good), ("latin.txt", "é".encode("latin-1")),
        ("blank.jpg", good), ("blank.txt", b" \n"),
        ("silent.jpg", good), ("blind.txt", b"x"), ("odd.doc", good), ("odd.txt", b"x"),
        ("json.jpg", good), ("json.json", b"{"), ("deep.jpg", good), ("deep.json", b"[" * 99999),
        ("half.jpg", good), ("half.json", b'{"caption": "\\ud800"}'),
        ("null.jpg", good), ("null.json", b'{"caption": null}'),
        ("link.jpg", (tarfile.SYMTYPE, "/etc/passwd")), ("link.txt", b"x"),
        ("folder", (tarfile.DIRTYPE, "")),
        ("long.jpg", good), ("long.txt", b"x" * (MOST_TEXT_BYTES + 1)),
        ("good.png", good), ("hollow.jpg", b""), ("hollow.txt", b"x"),
    ])  # fmt: skip
    pairs = open_pairs(path)
    assert [pairs.where(i) for i in range(len(pairs))] == ["a.tar: good.jpg"]
    assert dict(pairs.skipped) == {
        "a.tar: latin.txt": "its caption is not UTF-8",
        "a.tar: blank.txt": "an empty caption",
        "a.tar: silent": "no caption",
        "a.tar: blind": "no picture",
        "a.tar: odd": "no picture",
        "a.tar: json.json": "its .json is not JSON",
        "a.tar: deep.json": "its .json is not JSON",
        "a.tar: half.json": "its caption is not Unicode",
        "a.tar: null": "no caption",
        "a.tar: link.jpg": "a link or a device, not a file",
        "a.tar: long.txt": "1,048,577 bytes: more than 1 MiB",
        "a.tar: good.png": "a second picture of the same key; the first is used",
        "a.tar: hollow.jpg": "an empty file",
    }
