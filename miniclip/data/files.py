"""Your own pairs, from a csv or from a folder of pictures that each have a .txt beside them.

Both are read as rows of a picture and its captions. A row or a picture that cannot be used goes to
`skipped` with the reason, and the remaining rows are read. A mistake that concerns everything, such
as a missing column of captions, is a UserError. Only the header of each picture is read here.
Damage after the header is found when the picture is loaded, and the picture is skipped then.

A tenth of the pairs is held out, by the hash of the picture's path relative to the csv or folder.
If there is a column `split`, it decides instead. Left out: fetching URLs.
"""

import codecs
import csv
import hashlib
import itertools
import os
import re
import unicodedata

from PIL import Image
from tqdm import tqdm

from miniclip.bpe.cleaning import has_words
from miniclip.common import UserError, described, first_bytes, in_words, refuse
from miniclip.data import image_io
from miniclip.data.dataset import (
    MOST_TEXT_BYTES,
    Pairs,
    file_size,
    fingerprint,
    is_held_out,
    lines,
    one_line,
    printable,
    report_skipped,
)

UTF_16 = codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE  # how a text in UTF-16 or UTF-32 begins
SYSTEM_FOLDERS = {  # of unpacked archives, of network disks (thumbnails, bins), of disks
    *("__MACOSX", "@eaDir", "#recycle", "@Recycle", "$RECYCLE.BIN", "lost+found"),
    "System Volume Information",
}
WORKBOOK = b"\xd0\xcf\x11\xe0"  # how an .xls begins
MOST_LIST_BYTES = 1 << 26  # in a file of class names, templates or queries
csv.field_size_limit(max(MOST_TEXT_BYTES, csv.field_size_limit()))  # of the whole process
codecs.register_error(  # bytes that are not UTF-8 are read as cp1252, Windows' Latin
    "windows", lambda e: (e.object[e.start : e.end].decode("cp1252", "replace"), e.end)
)
# A field whose quote comes after a space. The csv module's skipinitialspace would accept it, but
# would also remove spaces from a caption that has separators without quotes.
SPACED = re.compile(r'^ +"((?:[^"]|"")*)" *$')
# what pandas makes of a list in a csv: ['a cat', 'a pet']
WRITTEN_LIST = re.compile(r"""[\[{] ?['"].*[\]}]""")
SEPARATORS = (",", "\t", ";", "|")
# names of columns that are recognised, in lower case with _ for spaces, the most specific first
PICTURE_COLUMNS = """filepath file_path image_path path filename file_name file image image_file img
    picture photo""".split()
CAPTION_COLUMNS = "caption captions text description title alt_text alt sentence label".split()
SPLITS = ("train", "val", "test")  # what a column `split` divides pairs into
MARKS = {"train": 0, "training": 0, "test": 2}  # any other value is held out as "val"
UNMARKED = -1  # the mark of a pair whose source has no column `split`


def mark(value) -> int:
    """The position in SPLITS that a value of the column `split` stands for."""
    return MARKS.get(str(value).strip().lower(), SPLITS.index("val"))


def divided(wheres: list[str], marks: list[int]) -> dict[str, list[int]]:
    """The splits of pairs that have these names and marks, {name of a split: indices}.

    The marks decide if all pairs have one. Otherwise the hashes of the names decide: a tenth is
    held out, unless that would leave too few pairs to test or to train on.
    """
    if UNMARKED not in marks:
        splits = {name: [i for i, m in enumerate(marks) if m == k] for k, name in enumerate(SPLITS)}
        return {name: own for name, own in splits.items() if own or name == "train"}
    held = [i for i, where in enumerate(wheres) if is_held_out(where)]
    if not 2 <= len(held) <= len(wheres) / 2:
        return {"train": [*range(len(wheres))]}
    return {"train": sorted({*range(len(wheres))} - {*held}), "heldout": held}


class Files(Pairs):
    """Pairs from rows. Rows with the same path, or with the same bytes of a file, are one pair.

    rows: an iterator over (name, picture, captions, mark, problem). In each row:
        the name is what messages call the row;
        the picture is the path of a file, the bytes of a file, a PIL image, a function that returns
        one of these, or a dict that has one of them under "bytes" or "path";
        the mark is a position in SPLITS, or UNMARKED;
        the problem says why the row cannot be used, or is None.
    root: the absolute path of the folder that paths are relative to.
    skipped: a list to which (name, reason) is added for each row that cannot be used.
    empty: the reason that an error gives if there are no rows at all.

    Raises UserError when no row can be used.
    """

    def __init__(self, name, root, rows, skipped, empty="no rows"):
        # {path, bytes, or else the row's name: (the row's name, source, {caption: True}, mark)}
        pairs = {}
        for row, picture, captions, part, why in tqdm(
            rows, "looking at pictures", delay=1, disable=None
        ):
            try:
                captions = dict.fromkeys(filter(has_words, map(one_line, captions)), True)
                refuse(
                    {
                        why: why,
                        "an empty caption": not captions,
                        "a list that is written as a text; give one row for each caption": any(
                            map(WRITTEN_LIST.fullmatch, captions)
                        ),
                    }
                )
                source = source_of(picture, root)
                key = source if isinstance(source, (str, bytes)) else row
                # A function gives its picture later, and the picture is checked then. A PIL image is
                # loaded now, because forked processes would share the position in its file, and so
                # read only a part of it each
                if key not in pairs and not callable(source):
                    (image_io.read if isinstance(source, Image.Image) else image_io.check)(source)
                first, _, known, before = pairs.get(key, (row, source, {}, part))
                known.update(captions)
                pairs[key] = first, source, known, max(before, part)
            except UserError as error:
                skipped.append((row, str(error)))
        refuse({f"{printable(name)} gives no pair: {report_skipped(skipped) or empty}": not pairs})
        names, self.sources, captions, marks = zip(*pairs.values())
        self.wheres = [
            relative_to(source, root) if isinstance(source, str) else row
            for row, source in zip(names, self.sources)
        ]
        self.paths = [source for source in self.sources if isinstance(source, str)]
        super().__init__(name, captions, {}, skipped)
        self.splits = divided(self.wheres, marks)

    def load_downscaled(self, i, side):
        """Picture i, read by image_io.read. Raises BadPicture."""
        return image_io.read(self.sources[i], side)

    def stamp(self, i):
        """See Pairs."""
        return fingerprint(self.sources[i]) if isinstance(self.sources[i], str) else None

    def hashes_of(self, i):
        """See Pairs. A picture that is given by its bytes is recognized by them."""
        source = self.sources[i]
        name = hashlib.sha256(source).hexdigest() if isinstance(source, bytes) else self.where(i)
        return super().hashes_of(i, name) if isinstance(source, (bytes, str)) else set()

    def where(self, i):
        """The path of picture i, relative to the csv or the folder, or else the name of its row."""
        return self.wheres[i]


def source_of(picture, root):
    """The picture of a row in a form that image_io.read takes: an absolute path, the bytes of a
    file, a PIL image, or a function that returns one of these.

    picture: as a row has it, see Files. A path may be relative to `root`. Raises UserError.
    """
    if isinstance(picture, dict):  # "path" beside "bytes" is only a name, and may occur twice
        data = picture.get("bytes")
        refuse(
            {
                f'its "bytes" are {described(data)}, perhaps in Base64; give the bytes of a file': (
                    not isinstance(data, bytes | None)
                )
            }
        )
        picture = data or picture.get("path")
    if isinstance(picture, (str, os.PathLike)) and os.fspath(picture):
        with in_words("a path that holds half of a character", UnicodeEncodeError):
            # a list is in UTF-8, also where the system's names of files are in ASCII
            name = os.fsdecode(picture).encode("utf-8", "surrogateescape")
        return normal(root, os.fsdecode(name))
    is_picture = isinstance(picture, (bytes, Image.Image)) or callable(picture)
    refuse(
        {
            "no picture": isinstance(picture, (str, type(None))),
            "a picture must be a path, a PIL image or the bytes of a file, not "
            f"{type(picture).__name__}": not is_picture,
        }
    )
    return picture


def open_csv(path, image_column=None, caption_column=None, columns=None) -> Files:
    """Pairs from a csv that has a column of captions and a column of picture paths.

    The paths are relative to the csv. Rows with the same picture are one pair. The pair is held out
    if the column `split` says so in any of its rows.
    image_column, caption_column: the names of the two columns; None: they are recognised.
    columns: for a csv that has no header line, the names of its columns, as a list or separated by
    commas.
    Raises UserError when one of the two columns is not found, or when no row can be used.
    """
    columns = ",".join(map(str, columns)) if isinstance(columns, (list, tuple)) else columns
    others = "or, for a csv without a header, give --columns image,caption"
    _, rows = read_csv(
        path,
        (
            "picture paths",
            PICTURE_COLUMNS,
            image_column,
            f"; name one of them with --image-column, {others}",
        ),
        (
            "captions",
            CAPTION_COLUMNS,
            caption_column,
            f"; name one of them with --caption-column, {others}",
        ),
        columns,
    )
    return Files(os.path.basename(path), os.path.dirname(os.path.abspath(path)), rows, [])


def is_hidden(name: str) -> bool:
    """Whether a file or folder was put there by a system or a program, not by the user."""
    return name.startswith(".") or name in SYSTEM_FOLDERS


def walk(root, skipped):
    """Yield (folder, names of its files) for `root` and then for all folders below it.

    The names are sorted, and hidden files and folders are left out. skipped: a list to which (path,
    reason) is added for each folder that cannot be read and for each link to a folder. Raises
    UserError when `root` cannot be listed.
    """

    def closed(error):
        refuse(
            {
                f"{printable(root)} cannot be read: {error.strerror}": (
                    error.filename == os.fspath(root)
                )
            }
        )
        skipped.append((relative_to(error.filename, root), "a folder that cannot be read"))

    waiting = [root]
    while waiting:  # os.walk is recursive before Python 3.12, so it lists one folder at a time here
        for folder, below, names in itertools.islice(os.walk(waiting.pop(), onerror=closed), 1):
            yield folder, sorted(itertools.filterfalse(is_hidden, names))
            for name in sorted(itertools.filterfalse(is_hidden, below), reverse=True):
                path = os.path.join(folder, name)
                if os.path.islink(path):
                    skipped.append((relative_to(path, root), "a link to a folder is not followed"))
                else:
                    waiting.append(path)


def open_folder(path) -> Files:
    """Pairs from a folder and all folders below it: every picture that has a .txt beside it.

    Each line of the .txt is a caption. Raises UserError when there is no such picture.
    """
    root, skipped = os.path.abspath(path), []
    name = os.path.basename(root) or root
    return Files(name, root, _beside_texts(root, skipped), skipped, "it holds no picture")


def _beside_texts(root, skipped):
    """Yield rows, as Files takes them, for the pictures in a folder and in all folders below it."""
    for folder, names in walk(root, skipped):
        # the names of a picture and of its text may have their accents in two forms, as on a Mac
        present = {unicodedata.normalize("NFC", name): name for name in names}
        present |= {name: name for name in names}
        for name in (n for n in names if image_io.is_picture(n) or n.lower().endswith(".tar")):
            stem = os.path.splitext(name)[0]
            file = os.path.join(folder, name)
            forms = itertools.product((stem, unicodedata.normalize("NFC", stem)), (".txt", ".TXT"))
            text = next(filter(None, map(present.get, map("".join, forms))), "")
            try:
                refuse(
                    {
                        "a shard among pictures is not read; give it as a source of its own": (
                            not image_io.is_picture(name)
                        ),
                        "no .txt beside it": not text,
                    }
                )
                said = read_text(os.path.join(folder, text), MOST_TEXT_BYTES)
                yield relative_to(file, root), file, re.split("[\r\n]", said), UNMARKED, None
            except UserError as error:
                yield relative_to(file, root), file, [], UNMARKED, str(error)


ZEROS = "it holds zeros of a damaged file; rows may be lost here"
NO_TEXT = {  # {what is wrong with a file of another kind: how such a file begins}
    "is in UTF-16 or UTF-32; save it as UTF-8": UTF_16,
    "is a picture; give a csv, a folder or tars": (b"\x89PNG", b"\xff\xd8\xff", b"GIF8"),
    "is compressed; unpack it": (
        *(b"\x1f\x8b", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"),
        *(b"BZh%d1AY" % level for level in range(1, 10)),
    ),
    "is a parquet file; give it a name that ends in .parquet": (b"PAR1",),
    "is a zip or the workbook of a spreadsheet; unpack it, or save it as a csv": (
        b"PK\3\4",
        WORKBOOK,
    ),
}
# lines of code or of a list: lambda c: f"a {c}.",   'cat',   - cat   cat,
CODE = re.compile(r"""lambda\b.*|[fr]?(['"]).*\1[\])}]*|[-*•]\s.*|.*,""")
NO_CSV = {"is JSON; write each pair on a line of its own, in a .jsonl": (b"[{", b'{"')}


def read_csv(path, pictures, texts, columns=None):
    """Read a column of picture paths and a column of texts from a csv: (header, rows for Files).

    pictures, texts: each describes one column, by four values: what the column holds; the names by
    which it is recognised; the name that the user gave, or None; and how the error message ends if
    the column is missing.
    columns: for a csv that has no header line, the names of its columns, separated by commas.

    The separator is the one of SEPARATORS that fits the header best. If there is no header line,
    each separator is tried on the first 100 rows. The best separator is the one that gives the most
    rows whose picture path names an existing file. If several separators give equally many such
    rows, the one that divides the first row into the most fields is used. Fields beyond the number
    of names in `columns` are not counted here.
    Raises UserError, also while the rows are read.
    """
    root, name = os.path.dirname(os.path.abspath(path)), printable(os.path.basename(path))
    must_be_text(path, NO_TEXT | NO_CSV)
    named = None if columns is None else columns.split(",")

    def fit(separator):
        rows = [
            row for _, row, _ in itertools.islice(_rows(path, separator), 100 if named else 1)
        ] or [[]]
        header = named or rows[0]
        positions = [find_column(header, own, known) for _, known, own, _ in (pictures, texts)]
        if named is None:
            return -positions.count(None), len(header)
        files = [os.path.join(root, value(row, positions[0] or 0)) for row in rows]
        return sum(map(os.path.isfile, files)), min(len(rows[0]), len(header))

    separator = max(SEPARATORS, key=fit)
    rows = _rows(path, separator)
    header = named or next(rows, (0, [], None))[1]
    positions = must_find(name, header, (pictures, texts))
    first = [row for _, row, _ in itertools.islice(_rows(path, separator), 100 if named else 0)]
    refuse(
        {
            f"{name} cannot have {pictures[0]} and {texts[0]} in the same column": (
                positions[0] == positions[1]
            ),
            f"{name} has {len(first and first[0])} columns, but --columns names {len(header)}; "
            "name all of them in their order; any word will do for the others": len(first) > 1
            # a sentence has a space after a comma, and another number of commas than others have
            and all(len(r) == len(first[0]) > len(header) and r[-1][:1] != " " for r in first)
            and any(r[-1] for r in first),
        }
    )
    return header, _checked(rows, header, *positions, separator, root)


def must_be_text(path, others):
    """Raise UserError if a file is of another kind than its name says.

    others: {what is wrong: how such a file begins, without white space and a byte order mark}.
    """
    name, head = printable(os.path.basename(path)), first_bytes(path, 256)
    start = b"".join(head.removeprefix(codecs.BOM_UTF8).split())
    # zeros at the end of a line may come from a damaged disk
    binary = b"\0" in head.partition(b"\n")[0].strip(b"\0\r")
    refuse(
        {f"{name} {why}": start.startswith(marks) for why, marks in others.items()}
        | {
            # the number of a header's mode, after the zeros that fill its name
            f"{name} is a tar, or a part of one; put the parts together, and name it .tar": (
                b"\x000000" in start
            ),
            f"{name} is not text, or its encoding is unknown; save text as UTF-8, and give other "
            "files their suffix, such as .tar": binary,
        }
    )


def value(row, column):
    """The field of a csv's row in a column, or "" if the row is too short."""
    return row[column].strip() if column < len(row) else ""


def _checked(rows, header, picture, text, separator, root):
    """Yield rows as Files takes them. A row gets a problem if a missing quote shifts its fields.

    picture, text: the positions of these columns.
    """
    width = max(k for k, name in enumerate(header, 1) if name.strip())
    split = find_column(header, "split", ())
    for line, row, why in rows:
        # spreadsheets fill short rows with empty fields, but not beyond the header
        while (
            len(row) > width
            and not row[-1].strip()
            and (len(row) <= len(header) or text == width - 1)
        ):
            row.pop()
        if text == width - 1:  # the last column: its text may hold separators without quotes
            row[text:] = [separator.join(row[text:])]
        elif row[width:]:
            why = (
                f"it has {len(row)} fields but the header has {width}; does a field hold "
                f"{separator!r} without quotes?"
            )
        row = [SPACED.sub(lambda quoted: quoted[1].replace('""', '"'), field) for field in row]
        # a quote that is not closed takes the following rows into its field, as lines of the field
        named = {
            value(line.split(separator), picture if n else picture - k)
            for k, field in enumerate(row)
            if len(field.splitlines()) > 1
            for n, line in enumerate(re.split("[\r\n]", field))
            if n or k <= picture
        }
        if any(image_io.is_picture(p) or os.path.isfile(os.path.join(root, p)) for p in named):
            why = "one of its fields contains the next rows; is a quote not closed?"
        where, part = value(row, picture), UNMARKED if split is None else mark(value(row, split))
        called = f"line {line}, {where}" if where else f"line {line}"
        yield called, where, [value(row, text)], part, why


def _rows(path, separator):
    """Yield (line number, fields, None or a problem) for each row that is not blank. A row that
    cannot be read has no fields."""
    row = ()
    with open(path, encoding="utf-8-sig", errors="windows", newline="") as file:
        reader = csv.reader(lines(file), delimiter=separator, strict=True)
        while row is not None:
            first = reader.line_num + 1
            try:
                row = next(reader, None)
                if any(field.strip() for field in row or ()):
                    is_damaged = any("\0" in field for field in row)
                    yield reader.line_num, row, ZEROS if is_damaged else None
            except csv.Error as error:  # the next line is then read as a new row
                why = f"not a csv from line {first} on: {error}"
                yield reader.line_num, [], f"{why}; are quotes closed, and doubled inside a field?"


def must_find(name, header, wanted):
    """The positions of the wanted columns in a header.

    name: what messages call the file. wanted: descriptions of columns, like `pictures` and `texts`
    of read_csv. Raises UserError when a column is missing or occurs twice.
    """
    names = [_plain(h) for h in header]
    seen = ", ".join(repr(printable(h, 30)) for h in header[:8]) or "none"
    refuse({f"{name} has two columns called split; rename one": names.count("split") > 1})
    positions = [find_column(header, own, known) for _, known, own, _ in wanted]
    for position, (what, known, own, hint) in zip(positions, wanted):
        want = (
            f"no column {own!r}"
            if own is not None
            else f"no column of {what} (such as {known[0]!r})"
        )
        refuse({f"{name} has {want}; its columns are {seen}{hint}": position is None})
        twice = names.count(names[position]) > 1
        refuse({f"{name} has two columns called {header[position]!r}; rename one": twice})
    return positions


def find_column(header, own, known):
    """The position of a column in a header, or None. known: the names that the column may have.
    own: the name of the column, which replaces `known`, or None."""
    names = [_plain(h) for h in header]
    known = known if own is None else (_plain(own),)
    return next((names.index(name) for name in known if name in names), None)


def _plain(name):
    """The name of a column in the form in which names are compared. Keys of records may be
    numbers."""
    return unicodedata.normalize("NFC", str(name)).strip(' "\ufeff').lower().replace(" ", "_")


def read_text(path, most=MOST_LIST_BYTES) -> str:
    """The text of a file of at most `most` bytes. Bytes that are not UTF-8 are read as Windows'
    Latin. Raises UserError."""
    name = printable(os.path.basename(path))
    try:
        file_size(path)
        text = first_bytes(path, most + 1)
    except (OSError, ValueError) as error:
        raise UserError(f"{name} cannot be read: {getattr(error, 'strerror', error)}") from None
    refuse(
        {
            f"{name} is too long: more than {most:,} bytes": len(text) > most,
            f"{name} is not text, or its encoding is unknown; save it as UTF-8": (
                b"\0" in text.strip(b"\0\r\n") or text.startswith(UTF_16)
            ),
        }
    )
    return text.decode("utf-8-sig", "windows")


def read_lines(path, what: str, numbered: bool = False) -> list[str]:
    """The lines of a text file that are not blank, stripped: list of str.

    what: what messages call the content. numbered: whether the number of a line means something, so
    that a blank line between others is refused, and also numbers in all lines. Raises UserError
    when there is no such line, when most lines are code, or when the file cannot be read.
    """
    lines = [line.strip() for line in re.split("\r\n|[\r\n]", read_text(path).rstrip())]
    blank, kept = [*lines, ""].index(""), [*filter(None, lines)]
    # the first line may be a header; a number and a space may begin a name, such as "2 euro"
    counted = numbered and [
        name.startswith(f"{k} ")
        or re.match(r"[\[(]?\d+\s*([,;:\t|]|[\]).=-]+\s)|(\d+ )?\d+\.[^\W\d]", name)
        or re.match(r".*[,;:=\t|] *\d+$|.*\bn\d{8}\b", name)
        for k, name in enumerate(lines)
        if k
    ]
    refuse(
        {
            f"{path} is empty; write {what} into it, one on each line": not any(lines),
            f"line {blank + 1} of {path} is blank, and so the {what} after it would be counted "
            "wrongly; fill the line, or delete it": numbered and blank < len(lines),
            f"line 1 of {path} is a heading, and so the {what} would be counted wrongly; delete it": (
                numbered
                and re.fullmatch(
                    r"#\s.*|((class|label)[ _-]?)?(names?|labels?|class(es)?)",
                    lines[0],
                    re.IGNORECASE,
                )
            ),
            f"{path} must have the {what} one on each line and nothing else, not lines such as "
            f"{lines[-1]!r:.80}": (
                sum(map(bool, map(CODE.fullmatch, kept))) > len(kept) / 2
                or re.match(r"""[\[{(]['"]""", "".join(lines[:2]).replace(" ", ""))
                or (counted and all(counted))
            ),
        }
    )
    return kept


def normal(root: str, path: str) -> str:
    """An absolute path without "." and "..", so that each file has one spelling.

    path: absolute, or relative to `root`. "link/.." is the folder above the link's target, not the
    folder that holds the link. So links are followed in a path whose ".." comes after a link.
    """
    path = os.path.join(root, path)
    short, climbs = os.path.normpath(path), ".." in path and "\0" not in path
    is_other = climbs and os.path.realpath(path) != os.path.realpath(short)
    return os.path.realpath(path) if is_other else short


def relative_to(path, root):
    """A path in the form in which it is shown and hashed: relative to `root`, with / between
    folders, and in the same Unicode form on every system."""
    try:
        path = os.path.relpath(path, root)
    except ValueError:  # the path is on another drive of Windows, or has a NUL
        pass
    path = os.fsencode(path.replace(os.sep, "/"))  # UTF-8, whatever the locale is
    # cut off, because composing a letter with many accents takes hours; no system has such names
    return unicodedata.normalize("NFC", path.decode("utf-8", "surrogateescape")[:10_000])
