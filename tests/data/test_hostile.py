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
from miniclip.data.shards import tar_index
from miniclip.data.shards.tar_index import (
    BLOCK,
    MOST_HEADER_BYTES,
    MOST_TEXT_BYTES,
    MOST_ZEROS,
    PADDING,
    scan,
)
from tests.data.tars import picture, pictures, png, png_chunk, read_epoch, survive, write_tar

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
    return info.tobuf(tarfile.GNU_FORMAT)


def padded(data):
    return data + bytes(-len(data) % BLOCK)


def pax(*texts):
    """A pax header of "path=x" and the like, each with its own length before it."""
    records = b""
    for text in texts:
        length = next(n for n in range(99) if len(b"%d %s\n" % (n, text)) == n)
        records += b"%d %s\n" % (length, text)
    return header("x", len(records), tarfile.XHDTYPE) + padded(records)


class Reads(io.BytesIO):
    """A file that records the size of its largest read."""

    largest = 0

    def read(self, size):
        self.largest = max(self.largest, size)
        return super().read(size)


def scanned(*parts, end=bytes(2 * BLOCK), appended=b""):
    """What scan finds in a tar of these parts: [(name, size)], [problem of the tar or a member]."""
    data = b"".join(parts) + end
    file = Reads(data + appended)
    found = [*itertools.islice(scan(file, len(data)), 99)]  # it must not go round for ever
    assert file.largest <= MOST_HEADER_BYTES
    for member, problem in found:
        if not problem:
            got = data[member.offset_data : member.offset_data + member.size]
            assert got == CONTENT[member.size]
    good = [(member.name, member.size) for member, problem in found if not problem]
    return good, [problem for _, problem in found if problem]


CONTENT = {0: b"", 1: b"z", 3: b"abc", 5: b"abcde"}
MEMBER, LAST = header("a.txt", 3) + padded(b"abc"), header("last.txt", 1) + padded(b"z")
LONG = b"long.txt".ljust(MOST_HEADER_BYTES, b"\0")
A, Z = ("a.txt", 3), ("last.txt", 1)


@pytest.mark.parametrize(
    "parts, good",
    [
        ([pax(b"path=other.txt"), MEMBER, LAST], [("other.txt", 3), Z]),
        (
            [pax(b"uid=1", b"path=b", b"size=5"), header("c", 0), padded(b"abcde"), LAST],
            [("b", 5), Z],
        ),
        ([pax(b"size=x", b"comment=4"), header("c", 0), LAST], [("c", 0), Z]),
        ([pax(b"size=-600"), MEMBER, LAST], [Z]),
        ([header("h", len(LONG), b"L"), LONG, MEMBER, LAST], [("long.txt", 3), Z]),
        ([header("h", len(LONG) + 1, b"L"), LONG, bytes(BLOCK), MEMBER, LAST], [A, Z]),
        ([header("h", 1 << 50, tarfile.XGLTYPE), MEMBER], [A]),
        ([pax(b"comment=x") * 3000, MEMBER], [A]),
        ([header("d", BLOCK, tarfile.DIRTYPE), MEMBER], [A]),
        ([header("l", BLOCK, tarfile.LNKTYPE), MEMBER], [A]),
        ([header("f", BLOCK, tarfile.FIFOTYPE), MEMBER], [A]),
        ([header("s", 1 << 40, tarfile.GNUTYPE_SPARSE), MEMBER], [A]),
        ([header("s", len(MEMBER), tarfile.GNUTYPE_SPARSE), MEMBER, LAST], [Z]),  # a tar in a tar
        ([header("n", -1024), MEMBER, LAST], [A, Z]),
    ],
)
def test_headers_that_are_long_odd_or_false_cost_at_most_their_own_file(parts, good):
    assert scanned(*parts)[0] == good


@pytest.mark.parametrize("blocks", [0, 1, 2, 3])
@pytest.mark.parametrize("damage", [bytes(BLOCK), b"x" * BLOCK])
def test_what_lies_between_members_is_named_and_costs_its_own_files(blocks, damage):
    at = len(MEMBER) + blocks * BLOCK
    lost = (
        f"no tar header is read from byte {len(MEMBER):,} to {at:,}: files in this range, if there"
    )
    lost += " are any, are lost"
    assert scanned(MEMBER, damage * blocks, LAST) == ([A, Z], [lost] * (blocks > 0))


def test_a_tar_that_was_joined_to_another_is_read_to_its_end():
    whole = MEMBER + bytes(PADDING - len(MEMBER))
    assert scanned(whole, whole, end=b"") == ([A, A], [])


@pytest.mark.parametrize(
    "parts, end, good, words",
    [
        *(
            ([MEMBER], bytes(n * BLOCK), [A], ["end of a tar is missing"] * (n < 2))
            for n in range(5)
        ),
        ([header("a", 5) + b"abcde"], b"", [("a", 5)], ["end of a tar is missing"]),
        ([header("a", 5) + b"abcd"], b"", [], ["truncated: 1 of 5 bytes"]),
        ([header("a", 1 << 20)], bytes(5 * BLOCK), [], ["truncated: 1,046,016 of 1,048,576"]),
        ([header("s", 1 << 20), MEMBER], bytes(2 * BLOCK), [A], ["truncated: 1,046,528 of"]),
        ([MEMBER], bytes(MOST_ZEROS), [A], []),
        ([MEMBER], bytes(MOST_ZEROS + BLOCK), [A], ["from byte 1,024 on"]),
        ([MEMBER], bytes(2 * BLOCK) + b"x" * BLOCK, [A], ["from byte 1,024 on"]),
        ([padded(b"\x1f\x8b\x08"), LAST], b"", [], ["unpack it"]),
    ],
)
def test_how_a_tar_ends_is_named(parts, end, good, words):
    found, problems = scanned(*parts, end=end)
    assert found == good and len(problems) == len(words), problems
    assert all(word in problem for word, problem in zip(words, problems)), problems


@pytest.mark.parametrize("limit, good", [(2, [A]), (3, [A, Z])])
def test_a_sound_header_is_searched_for_up_to_a_limit(limit, good, monkeypatch):
    monkeypatch.setattr(tar_index, "MOST_SEARCHED", limit * BLOCK)
    assert scanned(MEMBER, b"x" * 3 * BLOCK, LAST)[0] == good


def test_what_is_appended_after_its_size_was_read_is_left_for_another_time():
    good, (problem,) = scanned(MEMBER, end=b"", appended=LAST + bytes(2 * BLOCK))
    assert good == [A] and "is missing" in problem


def test_a_shard_that_shrinks_while_it_is_used_is_named(tmp_path):
    members = [(f"{k}.{s}", d) for k in range(4) for s, d in (("jpg", picture()), ("txt", b"x"))]
    path = write_tar(tmp_path / "a.tar", members)
    pairs = open_pairs(path)
    pairs.splits["train"] = range(4)
    os.truncate(path, 3000)
    skipped = [s for _, _, bad in read_epoch(pairs, 2) for s in bad]
    assert len(skipped) >= 3 and {reason for _, reason in skipped} == {
        "its shard has become shorter than when it was indexed"
    }


NO_CAPTION = 'no caption: no .txt, and no "captions" or "caption" in a .json (--caption-key)'


def test_each_broken_sample_is_named_with_its_reason(tmp_path):
    good = picture()
    members = {
        "good.txt": b"good", "latin.txt": "é".encode("latin-1"), "blank.txt": b" \n",
        "blind.txt": b"x", "odd.doc": good, "odd.txt": b"x", "json.json": b"{",
        "deep.json": b"[" * 99999, "half.json": b'{"caption": "\\ud800"}',
        "null.json": b'{"caption": null}', "link.jpg": (tarfile.SYMTYPE, "/etc/passwd"),
        "link.txt": b"x", "folder": (tarfile.DIRTYPE, ""), "long.txt": b"x" * (MOST_TEXT_BYTES + 1),
        "hollow.jpg": b"", "hollow.txt": b"x", ".DS_Store": b"x", "folder/._good.jpg": b"x",
    }  # fmt: skip
    for key in "good latin blank silent json deep half null long".split():
        members = {f"{key}.jpg": good} | members
    path = write_tar(tmp_path / "a.tar", [*members.items(), ("good.png", good)])
    pairs = open_pairs(path)
    assert [pairs.where(i) for i in range(len(pairs))] == ["a.tar: good.jpg"]
    assert dict(pairs.skipped) == {
        "a.tar: latin.txt": "its .txt is not UTF-8",
        "a.tar: blank.txt": "an empty caption",
        "a.tar: silent": NO_CAPTION,
        "a.tar: blind": "no picture",
        "a.tar: odd": "no picture",
        "a.tar: json.json": "its .json is not JSON in UTF-8",
        "a.tar: deep.json": "its .json is not JSON in UTF-8",
        "a.tar: half.json": "its .json is not JSON in UTF-8",
        "a.tar: null": NO_CAPTION,
        "a.tar: link.jpg": "a link, a device or a sparse file, not a plain file",
        "a.tar: long.txt": "1,048,577 bytes: more than 1 MiB",
        "a.tar: good.png": "a second picture of the same key; the first is used",
        "a.tar: hollow.jpg": "an empty file",
    }
