"""Hostile data: false names and sizes, decompression bombs and broken tars are skipped and named."""

import functools
import io
import itertools
import os
import struct
import tarfile
import zlib

import pytest

from miniclip.data import image_io, open_pairs, report_skipped
from miniclip.data.shards import tar as tar_module
from miniclip.data.shards.index import MOST_TEXT_BYTES
from miniclip.data.shards.tar import BLOCK, MOST_HEADER_BYTES, MOST_ZEROS, scan
from tests.data.tars import (  # noqa: F401
    cache_folder,
    no_hang,
    picture,
    pictures,
    read_epoch,
    survive,
    write_tar,
)

pytestmark = pytest.mark.usefixtures("cache")


def test_names_inside_a_tar_are_no_paths(tmp_path):
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


@functools.cache
def bombs():
    """Small files that decode to much: {suffix: bytes}."""
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
def test_a_decompression_bomb_is_refused_before_it_is_decoded(name, tmp_path):
    data = bombs()[name]
    stem, suffix = name.split(".")
    (tmp_path / "in").mkdir()
    path = write_tar(tmp_path / "in/a.tar", [(f"{stem}.{suffix}", data), (f"{stem}.txt", b"x")])
    read, skipped = survive(path, tmp_path)
    assert read + skipped == 1
    if name in ("pixels.png", "header.png", "screen.gif", "frame.jpg", "hole.bmp"):
        with pytest.raises(image_io.BadPicture):
            open_pairs(path).image(0)


def header(name, size, kind=tarfile.REGTYPE):
    """One block of a tar: the header of a member."""
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.USTAR_FORMAT)


def padded(data):
    return data + bytes(-len(data) % BLOCK)


class Reads(io.BytesIO):
    """A file that records the size of its largest read, and how often it is read."""

    largest = times = 0

    def read(self, size):
        self.largest, self.times = max(self.largest, size), self.times + 1
        assert self.times < 9999, "the scan goes round for ever"
        return super().read(size)


def scanned(*parts, end=bytes(2 * BLOCK)):
    """(what scan finds in a tar of these parts, its largest read)."""
    file = Reads(b"".join(parts) + end)
    found = itertools.islice(scan(file, len(file.getvalue())), 99)  # it must not go round for ever
    return list(found), file.largest


def test_a_tar_ends_with_two_blocks_of_zeros_or_says_that_it_may_be_cut():
    member = header("a.txt", 1) + padded(b"a")
    for blocks in range(5):
        found, _ = scanned(member, end=bytes(blocks * BLOCK))
        told = [problem for name, _, _, problem in found if not name]
        assert len(found) - len(told) == 1 and len(told) == (blocks < 2), (blocks, told)


def test_a_long_name_or_a_pax_header_is_read_only_when_it_is_a_header_s_size():
    own, pax = header("own.txt", 1) + padded(b"x"), b"18 path=other.txt\n"
    assert len(pax) == 18
    name = padded(b"long.txt")
    for size, kind, said, want in (
        (18, b"x", padded(pax), "other.txt"),
        (8, b"L", name, "long.txt"),
        (18, b"g", padded(pax), "own.txt"),
        (8, b"K", name, "own.txt"),  # of all members, of a link
        (MOST_HEADER_BYTES, b"L", name.ljust(MOST_HEADER_BYTES, b"\0"), "long.txt"),
        (MOST_HEADER_BYTES + 1, b"L", name.ljust(MOST_HEADER_BYTES + BLOCK, b"\0"), "own.txt"),
        (MOST_HEADER_BYTES + 1, b"x", pax.ljust(MOST_HEADER_BYTES + BLOCK, b"\0"), "own.txt"),
    ):
        found, largest = scanned(header("h", size, kind), said, own)
        assert [m[0] for m in found] == [want], (size, kind, found)
        assert largest <= MOST_HEADER_BYTES, (size, kind, largest)


MEMBER, LAST = header("a.txt", 3) + padded(b"abc"), header("last.txt", 1) + padded(b"z")


def pax_record(text):
    """b"path=x" as a record, with its own length before it."""
    length = next(n for n in range(99) if len(b"%d %s\n" % (n, text)) == n)
    return b"%d %s\n" % (length, text)


@pytest.mark.parametrize(
    "records, name, size",
    [
        ([b"path=other.txt"], "other.txt", 3),
        ([b"uid=1", b"path=other.txt", b"size=4", b"gid=2"], "other.txt", 4),
        ([b"size=x", b"comment=4"], "a.txt", 3),
    ],
)
def test_a_pax_header_gives_the_path_and_the_size_of_the_next_file_alone(records, name, size):
    said = b"".join(map(pax_record, records))
    found, _ = scanned(header("h", len(said), b"x") + padded(said), MEMBER, LAST)
    assert [m[0] for m in found] == [name, "last.txt"] and [m[2] for m in found] == [size, 1]


def test_a_link_has_no_bytes_whatever_size_it_tells():
    for kind, problem in (
        (tarfile.LNKTYPE, "a link or a device, not a file"),
        (tarfile.FIFOTYPE, "a link or a device, not a file"),
        (tarfile.DIRTYPE, None),
    ):
        found, _ = scanned(header("l", BLOCK, kind), LAST)
        told = [("l", BLOCK, 0, problem)] if problem else []
        assert found == [*told, ("last.txt", 2 * BLOCK, 1, None)], kind


def test_a_member_is_cut_off_when_its_last_byte_is_not_there():
    whole = header("a.txt", 5) + b"abcde"
    end = ("", len(whole), 0, "it ends without the mark that ends a tar: truncated?")
    assert scanned(whole, end=b"")[0] == [("a.txt", BLOCK, 5, None), end]
    cut = ("a.txt", BLOCK, 5, "cut off: 1 of 5 bytes lack")
    assert scanned(whole[:-1], end=b"")[0] == [cut]
    missing = [("a.txt", BLOCK, 1 << 20, "cut off: 1,046,016 of 1,048,576 bytes lack")]
    assert scanned(header("a.txt", 1 << 20), end=bytes(5 * BLOCK))[0] == missing
    # the file has become shorter than it was
    assert [*scan(io.BytesIO(MEMBER), len(MEMBER) + BLOCK)][1:] == [
        ("", len(MEMBER) + BLOCK, 0, end[3])
    ]


def test_what_is_appended_after_its_size_was_read_is_left_for_another_time():
    grown = Reads(MEMBER + LAST + bytes(2 * BLOCK))
    told = "it ends without the mark that ends a tar: truncated?"
    assert [*itertools.islice(scan(grown, len(MEMBER)), 99)] == [
        ("a.txt", BLOCK, 3, None),
        ("", len(MEMBER), 0, told),
    ]


@pytest.mark.parametrize("blocks", [0, 1, 2, 3])
@pytest.mark.parametrize("damage", [bytes(BLOCK), b"x" * BLOCK])
def test_what_lies_between_members_is_named_and_costs_its_own_files(blocks, damage):
    found, _ = scanned(MEMBER, damage * blocks, LAST)
    at = len(MEMBER) + blocks * BLOCK
    lost = f"no tar header from byte {len(MEMBER):,} to {at:,}: files there are lost"
    told = [("", len(MEMBER), 0, lost)] * (blocks > 0)
    assert found == [("a.txt", BLOCK, 3, None), *told, ("last.txt", at + BLOCK, 1, None)]


def test_what_follows_the_last_member_is_named_unless_it_is_a_tar_s_padding(monkeypatch):
    lost = ("", len(MEMBER), 0, "no tar header from byte 1,024 on: files there are lost")
    for end, told in (
        (bytes(MOST_ZEROS), []),
        (bytes(MOST_ZEROS + BLOCK), [lost]),
        (bytes(2 * BLOCK) + b"x" * BLOCK, [lost]),
    ):
        assert scanned(MEMBER, end=end)[0][1:] == told
    for limit in (2, 3):  # blocks that are searched
        monkeypatch.setattr(tar_module, "MOST_SEARCHED", limit * BLOCK)
        names = [name for name, *_ in scanned(MEMBER, b"x" * 3 * BLOCK, LAST)[0]]
        assert names == {2: ["a.txt", ""], 3: ["a.txt", "", "last.txt"]}[limit]


def test_a_compressed_tar_is_named():
    told = [("", 0, 0, "it is compressed: unpack it with gunzip")]
    assert scanned(padded(b"\x1f\x8b\x08"), LAST)[0] == told


def test_a_shard_that_shrinks_while_it_is_used_is_named(tmp_path):
    members = [(f"{k}.{s}", d) for k in range(4) for s, d in (("jpg", picture()), ("txt", b"x"))]
    path = write_tar(tmp_path / "a.tar", members)
    pairs = open_pairs(path)
    os.truncate(path, 3000)
    skipped = [s for _, _, bad in read_epoch(pairs, range(4), 2, 0, 0, 8, (1, 1)) for s in bad]
    assert len(skipped) >= 3 and {reason for _, reason in skipped} == {
        "its shard has become shorter than when it was indexed"
    }
    os.unlink(path)
    assert open_pairs(write_tar(tmp_path / "b.tar", members)).image(0)


NO_CAPTION = 'no caption: neither a .txt nor "caption" or "captions" in a .json'


def test_each_broken_sample_is_named_with_its_reason(tmp_path):
    good = picture()
    path = write_tar(
        tmp_path / "a.tar",
        [
            ("good.jpg", good),
            ("good.txt", b"good"),
            ("latin.jpg", good),
            ("latin.txt", "é".encode("latin-1")),
            ("blank.jpg", good),
            ("blank.txt", b" \n"),
            ("silent.jpg", good),
            ("blind.txt", b"x"),
            ("odd.doc", good),
            ("odd.txt", b"x"),
            ("json.jpg", good),
            ("json.json", b"{"),
            ("deep.jpg", good),
            ("deep.json", b"[" * 99999),
            ("half.jpg", good),
            ("half.json", b'{"caption": "\\ud800"}'),
            ("null.jpg", good),
            ("null.json", b'{"caption": null}'),
            ("link.jpg", (tarfile.SYMTYPE, "/etc/passwd")),
            ("link.txt", b"x"),
            ("folder", (tarfile.DIRTYPE, "")),
            ("long.jpg", good),
            ("long.txt", b"x" * (MOST_TEXT_BYTES + 1)),
            ("good.png", good),
            ("hollow.jpg", b""),
            ("hollow.txt", b"x"),
        ],
    )
    pairs = open_pairs(path)
    assert [pairs.where(i) for i in range(len(pairs))] == ["a.tar: good.jpg"]
    assert dict(pairs.skipped) == {
        "a.tar: latin.txt": "its caption is not UTF-8",
        "a.tar: blank.txt": "an empty caption",
        "a.tar: silent": NO_CAPTION,
        "a.tar: blind": "no picture",
        "a.tar: odd": "no picture",
        "a.tar: json.json": "its .json is not JSON",
        "a.tar: deep.json": "its .json is not JSON",
        "a.tar: half.json": "its caption is not Unicode",
        "a.tar: null": NO_CAPTION,
        "a.tar: link.jpg": "a link or a device, not a file",
        "a.tar: long.txt": "1,048,577 bytes: more than 1 MiB",
        "a.tar: good.png": "a second picture of the same key; the first is used",
        "a.tar: hollow.jpg": "an empty file",
    }
