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
MOST_ZEROS = 1 << 20  # tars are padded to 10 KiB; a download that failed can end in gigabytes
MOST_SEARCHED = 1 << 28  # bytes after damage: no member of a shard is as large
REGULAR = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
RECORD = re.compile(rb"([1-9]\d{0,6}) ([^=\n]{1,100})=")  # of a pax header: its length, its key


def scan(file, length):
    """Iterate over a tar's members: (name, offset, size, problem), offset and size in bytes.

    file: binary and seekable; length: its size. problem: None, or a sentence that says why the
    bytes cannot be used; a problem of no member, but of the tar, has the name "".
    """
    at, zeros, told, own = 0, 0, False, {}
    while at + BLOCK <= length:
        file.seek(at)
        head = file.read(BLOCK)
        if len(head) < BLOCK:  # the file has become shorter
            break
        if head == bytes(BLOCK):
            at, zeros = at + BLOCK, zeros + BLOCK
            if zeros > MOST_ZEROS:
                yield "", at, 0, f"nothing but zeros at byte {at:,}: the rest is not read"
                return
            continue
        header = _header(head)
        if header is None:
            if head[:2] == b"\x1f\x8b" and at == 0:
                yield "", 0, 0, "it is compressed: unpack it with gunzip"
                return
            yield "", at, 0, f"no tar header at byte {at:,}: what lies there is lost"
            at, zeros, told, own = _next_header(file, at + BLOCK, length), 0, True, {}
            continue
        if zeros:
            lost = f"{zeros:,} zeros before byte {at:,}: what was there, if it was, is lost"
            yield "", at, 0, lost
        kind, size, data, zeros, told = header.type, header.size, at + BLOCK, 0, False
        if kind in (b"L", b"x", b"g", b"K"):
            if size <= MOST_HEADER_BYTES and kind in (b"L", b"x"):
                text = file.read(size)
                own |= {b"path": text.split(b"\0")[0]} if kind == b"L" else _pax(text)
            at = data + -(-size // BLOCK) * BLOCK
            continue
        # bytes that are not UTF-8 are kept as surrogates
        name = own.get(b"path", b"").decode("utf-8", "surrogateescape") or header.name
        if kind not in REGULAR and kind in tarfile.SUPPORTED_TYPES:
            size = 0  # of a link or a folder
        size, own = int(own.get(b"size", size)), {}
        if data + size > length:
            yield name, data, size, f"cut off: {data + size - length:,} of {size:,} bytes lack"
            at, told = _next_header(file, data, length), True
            continue
        if kind in REGULAR and not name.endswith("/"):
            yield name, data, size, None
        elif kind not in (tarfile.DIRTYPE, *REGULAR):
            yield name, data, size, "a link or a device, not a file"
        at = data + -(-size // BLOCK) * BLOCK
    if zeros < 2 * BLOCK and not told:
        yield "", length, 0, "it ends without the mark that ends a tar: truncated?"


def key_and_suffix(name):
    """'a/0012.seg.JPG' -> ('a/0012', '.seg.jpg'): the key ends at the first dot of the last part."""
    folder, slash, base = name.rpartition("/")
    stem, dot, suffix = base.partition(".")
    return folder + slash + stem, dot + suffix.lower()


def _header(head):
    """The TarInfo of a block of 512 bytes, or None where it is no sound header."""
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


def _next_header(file, at, length):
    """The first offset from `at` on, in steps of 512, that is a sound header; else `length`.

    No further than MOST_SEARCHED bytes on.
    """
    end = min(length, at + MOST_SEARCHED)
    while at + BLOCK <= end:
        file.seek(at)
        chunk = file.read(min(1 << 20, end - at))
        for k in range(0, len(chunk), BLOCK):
            head = chunk[k : k + BLOCK]
            if head[257:262] == b"ustar" and _header(head):
                return at + k
        if len(chunk) < BLOCK:
            break
        at += len(chunk) // BLOCK * BLOCK
    return length
