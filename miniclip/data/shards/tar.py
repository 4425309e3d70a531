"""The members of a tar that may be damaged or hostile: where each file lies, and what is wrong.

A tar is a chain of headers of 512 bytes, each followed by a file padded to 512 (POSIX.1-2001,
"ustar" and "pax"; GNU tar's long names). Nothing is unpacked and no name is used as a path: a member
is a name to group by, an offset and a size. A damaged header costs its own file only, because the
search goes on at the next block that is a sound header. The standard library reads the single headers,
but not the chain: its tarfile (Python 3.11) follows sizes below zero, headers within headers and the
lengths that these declare without an end. Left out: compressed tars, which cannot be read from the
middle, sparse files, and, after damage, headers without the "ustar" of POSIX.
"""

import re
import tarfile

BLOCK = 512
MOST_HEADER_BYTES = 1 << 16  # of a long name or a pax header
MOST_ZEROS = 1 << 20  # after the last file: tars are padded to 10 KiB
MOST_SEARCHED = 1 << 28  # bytes without a sound header: no member of a shard is as large
REGULAR, WITHOUT_DATA = (b"0", b"\0", b"7"), (b"1", b"2", b"3", b"4", b"5", b"6")
RECORD = re.compile(rb"([1-9]\d{0,6}) ([^=\n]{1,100})=")  # of a pax header: its length, its key


def scan(file, length):
    """Iterate over a tar's members: (name, offset, size, problem), offset and size in bytes.

    file: binary and seekable; length: its size. problem: None, or a sentence that says why the
    bytes cannot be used; a problem of no member, but of the tar, has the name "".
    """
    if file.read(2) == b"\x1f\x8b":
        yield "", 0, 0, "it is compressed: unpack it with gunzip"
        return
    at = end = 0  # end: of the last member
    told, noise, own = False, False, {}
    while at + BLOCK <= length and at <= end + MOST_SEARCHED:
        file.seek(at)
        head = file.read(BLOCK)
        header = _header(head, after_damage=at > end)
        if header is None:
            noise, own = noise or bool(head.strip(b"\0")), {}
            at += BLOCK
            continue
        if (
            at > end and (noise or at % (20 * BLOCK)) and not told
        ):  # a tar that was joined begins there
            yield "", end, 0, f"no tar header from byte {end:,} to {at:,}: files there are lost"
        kind, size, data, told, noise = header.type, header.size, at + BLOCK, False, False
        if kind in (b"L", b"x", b"g", b"K") and data + size <= length:
            if size <= MOST_HEADER_BYTES and kind in (b"L", b"x"):
                text = file.read(size)
                own |= {b"path": text.split(b"\0")[0]} if kind == b"L" else _pax(text)
            at = end = data + -(-size // BLOCK) * BLOCK
            continue
        # bytes that are not UTF-8 are kept as surrogates
        name = own.get(b"path", b"").decode("utf-8", "surrogateescape") or header.name
        size, own = int(own.get(b"size", 0 if kind in WITHOUT_DATA else size)), {}
        if data + size > length:
            yield name, data, size, f"cut off: {data + size - length:,} of {size:,} bytes lack"
            at, end, told = data, data, True
            continue
        if kind in REGULAR and not name.endswith("/"):
            yield name, data, size, None
        elif kind not in (b"5", *REGULAR):
            yield name, data, size, "a link or a device, not a file"
        at = end = data + -(-size // BLOCK) * BLOCK
    if noise and not told or length - end > MOST_ZEROS:
        yield "", end, 0, f"no tar header from byte {end:,} on: files there are lost"
    elif length - end < 2 * BLOCK and not told:
        yield "", length, 0, "it ends without the mark that ends a tar: truncated?"


def key_and_suffix(name):
    """'a/0012.seg.JPG' -> ('a/0012', '.seg.jpg'): the key ends at the first dot of the last part."""
    folder, slash, base = name.rpartition("/")
    stem, dot, suffix = base.partition(".")
    return folder + slash + stem, dot + suffix.lower()


def _header(head, after_damage):
    """The TarInfo of a block of 512 bytes, or None where it is no sound header."""
    if after_damage and head[257:262] != b"ustar":
        return None
    try:
        header = tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return None
    return header if header.size >= 0 else None


def _pax(text):
    """Path and size in a pax header, records of "length key=value\\n"; what is odd is left out."""
    found, at = {}, 0
    while record := RECORD.match(text, at):
        at += int(record[1])
        value = text[record.end() : at - 1]
        if record[2] == b"path" or record[2] == b"size" and re.fullmatch(rb"\d{1,19}", value):
            found[record[2]] = value
    return found
