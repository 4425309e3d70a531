"""The members of a tar that may be damaged or hostile: where each file lies, and what is wrong.

A tar is a chain of headers of 512 bytes, each followed by a file padded to 512 (POSIX.1-2001,
"ustar" and "pax"; GNU tar's long names). Nothing is unpacked and no name is used as a path: a member
is a name to group by, an offset and a size. A damaged header costs its own file only, because the
search goes on at the next block that is a sound header. Left out: compressed tars, which cannot be
read from the middle, sparse files, and, after damage, headers without the "ustar" of POSIX.
"""

BLOCK = 512
MOST_HEADER_BYTES = 1 << 16  # of a long name or a pax header
MOST_ZEROS = 1 << 20  # tars are padded to 10 KiB; a download that failed can end in gigabytes
MOST_SEARCHED = 1 << 28  # bytes after damage: no member of a shard is as large
REGULAR, WITHOUT_DATA = (b"0", b"\0", b"7"), (b"1", b"2", b"3", b"4", b"5", b"6")


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
        size = _size(head)
        if size is None:
            if head[:2] == b"\x1f\x8b" and at == 0:
                yield "", 0, 0, "it is compressed: unpack it with gunzip"
                return
            yield "", at, 0, f"no tar header at byte {at:,}: what lies there is lost"
            at, zeros, told, own = _next_header(file, at + BLOCK, length), 0, True, {}
            continue
        if zeros:
            lost = f"{zeros:,} zeros before byte {at:,}: what was there, if it was, is lost"
            yield "", at, 0, lost
        kind, data, zeros, told = head[156:157], at + BLOCK, 0, False
        if kind in (b"L", b"x", b"g", b"K"):
            if size <= MOST_HEADER_BYTES and kind in (b"L", b"x"):
                text = file.read(size)
                own |= {"path": text.split(b"\0")[0]} if kind == b"L" else _pax(text)
            at = data + -(-size // BLOCK) * BLOCK
            continue
        # bytes that are not UTF-8 are kept as surrogates
        name = (own.get("path") or _ustar_path(head)).decode("utf-8", "surrogateescape")
        size, own = own.get("size", 0 if kind in WITHOUT_DATA else size), {}
        if data + size > length:
            yield name, data, size, f"cut off: {data + size - length:,} of {size:,} bytes lack"
            at, told = _next_header(file, data, length), True
            continue
        if kind in REGULAR and not name.endswith("/"):
            yield name, data, size, None
        elif kind not in (b"5", *REGULAR):
            yield name, data, size, "a link or a device, not a file"
        at = data + -(-size // BLOCK) * BLOCK
    if zeros < 2 * BLOCK and not told:
        yield "", length, 0, "it ends without the mark that ends a tar: truncated?"


def key_and_suffix(name):
    """'a/0012.seg.JPG' -> ('a/0012', '.seg.jpg'): the key ends at the first dot of the last part."""
    folder, slash, base = name.rpartition("/")
    stem, dot, suffix = base.partition(".")
    return folder + slash + stem, dot + suffix.lower()


def _size(head):
    """The size in a header, or None if its checksum says that it is not one."""
    if _number(head[148:156]) != sum(head) - sum(head[148:156]) + 8 * ord(" "):
        return None
    return _number(head[124:136])


def _number(field):
    """A number of a header: octal digits, or GNU's base 256; None where it is neither."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.split(b"\0")[0].strip()
    return int(digits, 8) if digits and not digits.strip(b"01234567") else None


def _ustar_path(head):
    """The path in a header, bytes: the 100 of its name, after the 155 of its prefix if any."""
    name, prefix = head[:100].split(b"\0")[0], head[345:500].split(b"\0")[0]
    return prefix + b"/" + name if prefix and head[257:263] == b"ustar\0" else name


def _pax(text):
    """Path and size in a pax header, records of "length key=value\\n"; what is odd is left out."""
    found, at = {}, 0
    while (space := text.find(b" ", at, at + 8)) >= 0:
        length = text[at:space]
        end = at + int(length) if length.isdigit() else at
        if not space < end <= len(text):
            break
        key, _, value = text[space + 1 : end - 1].partition(b"=")
        if key == b"path":
            found["path"] = value
        elif key == b"size" and value.isdigit() and len(value) < 20:
            found["size"] = int(value)
        at = end
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
            if head[257:262] == b"ustar" and _size(head) is not None:
                return at + k
        if len(chunk) < BLOCK:
            break
        at += len(chunk) // BLOCK * BLOCK
    return length
