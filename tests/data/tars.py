"""What the tests of data share: pairs that can be told apart, writers of files, a full read."""

import contextlib
import io
import itertools
import os
import struct
import tarfile
import time
import zlib

import numpy as np
import torch
from PIL import Image

from miniclip.data import BadPicture, open_pairs, report_skipped
from miniclip.data.dataset import Pairs
from miniclip.data.loader import batches, join


class Coloured(Pairs):
    """n pictures of which each is one colour and says its index; those in `bad` cannot be read."""

    def __init__(self, n, bad=()):
        super().__init__("coloured", [[str(i)] for i in range(n)], {"train": list(range(n))})
        self.bad = bad

    def image(self, i):
        if i in self.bad:
            raise BadPicture("damaged")
        return Image.new("RGB", (4, 4), (i % 256, i // 256, 7))


def letters(texts, trim):
    """A tokenizer that can be read back: the code points of N texts, (N, the longest) int64."""
    longest = max(map(len, texts), default=1)
    rows = [[*map(ord, text)] + [0] * (longest - len(text)) for text in texts]
    return torch.tensor(rows, dtype=torch.int64).view(len(texts), longest)


def texts_of(tokens):
    return ["".join(map(chr, row)).rstrip("\0") for row in tokens.tolist()]


def steps(pairs, count, batch_size=4, tokenizer=letters, seed=0, size=8, scale=(0.6, 1.0), **how):
    """The first batches of a run: [([(images, tokens)], skipped)], copied."""
    indices = pairs.splits["train"]
    with contextlib.closing(
        batches(pairs, indices, tokenizer, batch_size, seed, size, scale, **how)
    ) as loaded:
        return [
            ([(images.clone(), tokens) for images, tokens in parts], skipped)
            for parts, skipped in itertools.islice(loaded, count)
        ]


def same(left, right):
    """Whether two results of steps are equal to the bit."""
    return len(left) == len(right) and all(
        bad == worse
        and len(parts) == len(others)
        and all(torch.equal(a, b) for p, q in zip(parts, others) for a, b in zip(p, q))
        for (parts, bad), (others, worse) in zip(left, right)
    )


def read_epoch(pairs, batch_size, seed=0, epoch=0, start=0, **how):
    """[(images (N, 3, S, S) uint8, captions, skipped)] of one epoch from batch `start` on."""
    per_epoch = max(1, len(pairs.splits["train"]) // batch_size)
    at = epoch * per_epoch + start
    found = steps(pairs, per_epoch - start, batch_size, seed=seed, start=at, **how)
    joined = ((*join(parts), skipped) for parts, skipped in found)
    return [(images, texts_of(tokens), skipped) for images, tokens, skipped in joined]


def save(path, colour="red", size=(20, 16), **options):
    """Write a picture of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path, **options)
    return path


def write_csv(folder, text, name="pairs.csv", encoding="utf-8"):
    (folder / name).write_bytes(text.encode(encoding))
    return folder / name


def file_of(image, kind="PNG", **options):
    """The bytes of a PIL image as a file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def picture(kind="JPEG", colour=(200, 30, 90), size=(20, 16)):
    return file_of(Image.new("RGB", size, colour), kind)


def write_tar(path, members, form=tarfile.USTAR_FORMAT, mode="w"):
    """A tar of (name, bytes or a type of member)."""
    with tarfile.open(path, mode, format=form) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            if isinstance(data, tuple):
                info.type, info.linkname = data
                tar.addfile(info)
            else:
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return str(path)


def noise(width, height, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, *chunks, bits=1, colour=0):
    """A PNG of these chunks. colour: 0 for grey, 2 for RGB."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + b"".join(chunks)


def pictures():
    """One small picture of each kind that training data comes in."""
    kinds = dict(jpg="JPEG", png="PNG", webp="WEBP", gif="GIF", bmp="BMP", tiff="TIFF")
    return {suffix: file_of(noise(32, 24), kind) for suffix, kind in kinds.items()}


def heic(image, **how):
    """A PIL image as HEIC, without loss but for rounding."""
    import pillow_heif

    file = io.BytesIO()
    pillow_heif.from_pillow(image).save(file, quality=-1, chroma=444, **how)
    return file.getvalue()


def files_below(folder):
    return {
        os.path.join(where, name): os.stat(os.path.join(where, name)).st_mtime_ns
        for where, _, names in os.walk(folder)
        for name in names
    }


def survive(source, outside, seconds=60):
    """Open a source and read all of it: (pairs read, skips); a refusal is (0, 1).

    outside: a folder above the source, in which nothing may be written. seconds: it may take.
    """
    before, start = files_below(outside), time.monotonic()
    try:
        pairs = open_pairs(source)
    except ValueError as error:
        assert str(error) and "\n" not in str(error) and len(str(error)) < 2000
        assert files_below(outside) == before and time.monotonic() - start < seconds
        return 0, 1
    pairs.splits["train"] = range(len(pairs))
    batches_read = read_epoch(pairs, 1)
    read, skipped = 0, list(pairs.skipped)
    for images, captions, bad in batches_read:
        assert len(images) == len(captions)
        assert all(c and c.encode() and "\n" not in c for c in captions)
        read, skipped = read + len(images), skipped + bad
    for i in range(len(pairs)):
        assert pairs.captions(i) and pairs.where(i)
    assert read + len(skipped) - len(pairs.skipped) == len(pairs)
    assert "\n" not in report_skipped(skipped)
    assert files_below(outside) == before and time.monotonic() - start < seconds
    return read, len(skipped)
