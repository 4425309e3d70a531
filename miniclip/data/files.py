"""Your own pairs: rows of a picture and captions, and two places they come from: a csv, and a folder of
pictures each with a .txt beside it.

A mistake in one row or one picture costs that one alone: it goes to `skipped` with the reason. A
mistake that concerns everything (no column of captions, no usable pair) is a UserError. Only the
headers of pictures are read here. Damage further on is found, and skipped, when the picture is
loaded.
A tenth is held out, by the hash of the path relative to the csv or folder, unless a column `split` says
what is held out. Left out: fetching URLs.
"""

import codecs
import csv
import itertools
import os
import re
import unicodedata

from PIL import Image
from tqdm import tqdm

from miniclip.common import UserError, refuse
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
MOST_LIST_BYTES = 1 << 26  # of a file of class names, templates or queries
csv.field_size_limit(MOST_TEXT_BYTES)
codecs.register_error(  # bytes that are not UTF-8 are read as Windows' Latin
    "windows", lambda e: (e.object[e.start : e.end].decode("cp1252", "replace"), e.end)
)
# A field that is quoted after a space. The csv module's skipinitialspace would also take the spaces
# of a caption whose separators are not quoted.
SPACED = re.compile(r'^ +"((?:[^"]|"")*)" *$')
SEPARATORS = (",", "\t", ";", "|")
# names of columns, in lower case with _ for spaces, the most specific first
PICTURE_COLUMNS = """filepath file_path image_path path filename file_name file image image_file img
    picture photo""".split()
CAPTION_COLUMNS = "caption captions text description title alt_text alt sentence label".split()
SPLITS = ("train", "val", "test")  # what a column `split` divides pairs into
MARKS = {"train": 0, "training": 0, "test": 2}  # any other value is held out as "val"
UNMARKED = -1  # where there is no such column


def mark(value) -> int:
    """The position in SPLITS that a value of the column `split` means."""
    return MARKS.get(str(value).strip().lower(), SPLITS.index("val"))


def divided(wheres: list[str], marks: list[int]) -> dict[str, list[int]]:
    """The splits of pairs: by their marks, or else by the hashes of their names: a tenth is held out,
    unless too few would be left to test or to train on."""
    if UNMARKED not in marks:
        splits = {name: [i for i, m in enumerate(marks) if m == k] for k, name in enumerate(SPLITS)}
        return {name: own for name, own in splits.items() if own or name == "train"}
    held = [i for i, where in enumerate(wheres) if is_held_out(where)]
    if not 2 <= len(held) <= len(wheres) / 2:
        return {"train": [*range(len(wheres))]}
    return {"train": sorted({*range(len(wheres))} - {*held}), "heldout": held}


class Files(Pairs):
    """Pairs from rows; those with the same picture are one pair.

    rows: an iterator over (what a message calls the row, its picture, its captions, its mark, why it
    cannot be used or None). picture: as `source_of` takes it. mark: a position in SPLITS, or UNMARKED.
    skipped: a list, to which (name, reason) is added for what cannot be used; root: the absolute path
    of the folder that paths are relative to. Raises UserError, with `empty` where there are no rows.
    """

    def __init__(self, name, root, rows, skipped, empty="no rows"):
        pairs = {}  # {path, or else the row: (source, {caption: True}, mark)}
        for row, picture, captions, part, why in tqdm(
            rows, "looking at pictures", delay=1, disable=None
        ):
            captions = dict.fromkeys(filter(None, map(one_line, captions)), True)
            try:
                refuse({why: why, "an empty caption": not captions})
                source = source_of(picture, root)
                key = source if isinstance(source, str) else row
                # what is only read when it is asked for is checked then
                if key not in pairs and not callable(source):
                    image_io.check(source)
                _, known, before = pairs.get(key, (source, {}, part))
                known.update(captions)
                pairs[key] = source, known, max(before, part)
            except UserError as error:
                skipped.append((row, str(error)))
        refuse({f"{printable(name)} gives no pair: {report_skipped(skipped) or empty}": not pairs})
        self.wheres = [relative_to(key, root) if os.path.isabs(key) else key for key in pairs]
        self.sources, captions, marks = zip(*pairs.values())
        self.paths = [source for source in self.sources if isinstance(source, str)]
        super().__init__(name, captions, {}, skipped)
        self.splits = divided(self.wheres, marks)

    def load_downscaled(self, i, side):
        """Picture i, read by image_io.read. Raises BadPicture."""
        return image_io.read(self.sources[i], side)

    def stamp(self, i):
        """See Pairs."""
        return fingerprint(self.sources[i]) if isinstance(self.sources[i], str) else None

    def where(self, i):
        """The path of picture i, relative to the csv or the folder, or what its row is called."""
        return self.wheres[i]


def source_of(picture, root):
    """What image_io.read takes: an absolute path, the bytes of a file, a PIL image, or a function that
    returns one of these. A path is relative to `root`. Raises UserError."""
    if isinstance(picture, dict):  # "path" beside bytes is only a name, which others may have too
        picture = picture.get("bytes") or picture.get("path")
    if isinstance(picture, (str, os.PathLike)) and os.fspath(picture):
        return normal(root, os.fspath(picture))
    kind = type(picture).__name__
    is_picture = isinstance(picture, (bytes, Image.Image)) or callable(picture)
    refuse(
        {
            "no picture": isinstance(picture, (str, type(None))),
            f"a picture is a path, a PIL image or the bytes of a file, not {kind}": not is_picture,
        }
    )
    return picture


def open_csv(path, image_column=None, caption_column=None, columns=None) -> Files:
    """Pairs from a csv: a column of picture paths, relative to it, and one of captions.

    Rows with the same picture are one pair, which is held out if the column `split` of any of them
    says so. The columns are those that fit the header unless given. columns: the header of a csv
    without one, names with commas between them. Raises UserError when none fit, or when no row can
    be used.
    """
    columns = ",".join(map(str, columns)) if isinstance(columns, (list, tuple)) else columns
    others = "or, for a csv without a header, give --columns image,caption"
    _, rows = read_csv(
        path,
        (
            "picture paths",
            PICTURE_COLUMNS,
            image_column,
            f"; choose another with --image-column, {others}",
        ),
        (
            "captions",
            CAPTION_COLUMNS,
            caption_column,
            f"; choose another with --caption-column, {others}",
        ),
        columns,
    )
    return Files(os.path.basename(path), os.path.dirname(os.path.abspath(path)), rows, [])


def is_hidden(name: str) -> bool:
    """Whether a file or folder is one that a system or a program put beside the user's own."""
    return name.startswith(".") or name == "__MACOSX"


def walk(root, skipped):
    """Iterate over (folder, names of its files), sorted and without hidden ones, `root` first.

    skipped: a list to which (path, reason) is added for each folder that is passed over. Raises
    UserError where `root` cannot be listed.
    """

    def closed(error):
        refuse(
            {
                f"{printable(root)} cannot be read: {error.strerror}": (
                    error.filename == os.fspath(root)
                )
            }
        )
        skipped.append((relative_to(error.filename, root), "a folder that may not be read"))

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
    """Pairs from a folder and those in it: every picture with a .txt beside it, a caption a line.

    Raises UserError when there is none.
    """
    root, skipped = os.path.abspath(path), []
    name, rows = os.path.basename(root) or root, _beside_texts(root, skipped)
    return Files(name, root, rows, skipped, "it holds no picture")


def _beside_texts(root, skipped):
    """The rows, as Files takes them, of the pictures in a folder and those in it."""
    for folder, names in walk(root, skipped):
        present = {*names}
        for name in (n for n in names if image_io.is_picture(n) or n.lower().endswith(".tar")):
            stem = os.path.splitext(name)[0]
            file = os.path.join(folder, name)
            text = next((stem + end for end in (".txt", ".TXT") if stem + end in present), "")
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
                yield relative_to(file, root), file, said.splitlines(), UNMARKED, None
            except UserError as error:
                yield relative_to(file, root), file, [], UNMARKED, str(error)


NO_CSV = {  # what a file of another kind is, and how it begins
    "is in UTF-16 or UTF-32; save it as UTF-8": UTF_16,
    "is a picture; give a csv, a folder or tars": (b"\x89PNG", b"\xff\xd8\xff", b"GIF8"),
    "is compressed; unpack it": (b"\x1f\x8b", b"PK\3\4"),
    "is JSON; write each pair on a line of its own, in a .jsonl": (b"[{", b'{"'),
}


def read_csv(path, pictures, texts, columns=None):
    """Read a column of picture paths and one of texts from a csv: (header, rows as Files takes them).

    pictures, texts: (what the column holds, names that it may have, its one name or None, what an
    error adds). The separator is the one of SEPARATORS that fits the header best. columns: the header
    of a csv without one, names with commas between them; the separator is then the one with which most
    of the first 100 rows name a file, or else the first has fields enough. Raises UserError; so do the rows.
    """
    root, name = os.path.dirname(os.path.abspath(path)), printable(os.path.basename(path))
    with open(path, "rb") as file:
        start = file.read(4)
    refuse({f"{name} {why}": start.startswith(marks) for why, marks in NO_CSV.items()})
    most = 100 if columns else 1

    def fit(separator):
        rows = [row for _, row, _ in itertools.islice(_rows(path, separator), most)] or [[]]
        header = columns.split(",") if columns else rows[0]
        positions = [find_column(header, own, known) for _, known, own, _ in (pictures, texts)]
        if not columns:
            return -positions.count(None), len(header)
        files = [os.path.join(root, value(row, positions[0] or 0)) for row in rows]
        return sum(map(os.path.isfile, files)), min(len(rows[0]), len(header))

    separator = max(SEPARATORS, key=fit)
    rows = _rows(path, separator)
    header = columns.split(",") if columns else next(rows, (0, [], None))[1]
    positions = must_find(name, header, (pictures, texts))
    return header, _checked(rows, header, *positions, separator, root)


def value(row, column):
    """A field of a row of a csv, "" where it has none."""
    return row[column].strip() if column < len(row) else ""


def _checked(rows, header, picture, text, separator, root):
    """The rows as Files takes them, with a reason where a separator or a quote that is missing has
    shifted the fields. picture, text: the positions of these columns."""
    width = max(k for k, name in enumerate(header, 1) if name.strip())
    split = find_column(header, "split", ())
    for line, row, why in rows:
        while row[width:] and not row[-1].strip():  # spreadsheets fill short rows up
            row.pop()
        if text == width - 1:  # separators that should have been quoted
            row[text:] = [separator.join(row[text:])]
        elif row[width:]:
            why = f"it has {len(row)} fields and the header {width}; is a {separator!r} not quoted?"
        row = [SPACED.sub(lambda quoted: quoted[1].replace('""', '"'), field) for field in row]
        # a quote that is not closed swallows the rows after it, which then stand in its field
        named = {
            value(line.split(separator), picture if n else picture - k)
            for k, field in enumerate(row)
            if len(field.splitlines()) > 1
            for n, line in enumerate(re.split("[\r\n]", field))
            if n or k <= picture
        }
        if any(image_io.is_picture(p) or os.path.isfile(os.path.join(root, p)) for p in named):
            why = "a field of it goes on with other rows; is a quote not closed?"
        where, part = value(row, picture), UNMARKED if split is None else mark(value(row, split))
        called = f"line {line}, {where}" if where else f"line {line}"
        yield called, where, [value(row, text)], part, why


def _rows(path, separator):
    """(line number, fields, None) of each row that is not blank, or (line number, [], what is wrong)."""
    row = ()
    with open(path, encoding="utf-8-sig", errors="windows", newline="") as file:
        reader = csv.reader(lines(file), delimiter=separator, strict=True)
        while row is not None:
            first = reader.line_num + 1
            try:
                row = next(reader, None)
                if any(field.strip() for field in row or ()):
                    yield reader.line_num, row, None
            except csv.Error as error:  # the next line is a new row
                why = f"not a csv from line {first} on: {error}"
                yield reader.line_num, [], f"{why}; are quotes closed, and doubled inside?"


def must_find(name, header, wanted):
    """The positions of columns, `wanted` as for read_csv, in the header of what is called `name`.
    Raises UserError where one is missing, or there twice."""
    names = [_plain(h) for h in header]
    seen = ", ".join(repr(printable(h, 30)) for h in header[:8]) or "none"
    refuse({f"{name} has two columns called split; rename one": names.count("split") > 1})
    positions = [find_column(header, own, known) for _, known, own, _ in wanted]
    for position, (what, known, own, hint) in zip(positions, wanted):
        want = f"no column {own!r}" if own else f"no column of {what} (such as {known[0]!r})"
        refuse({f"{name} has {want}; its columns are {seen}{hint}": position is None})
        twice = names.count(names[position]) > 1
        refuse({f"{name} has two columns called {header[position]!r}; rename one": twice})
    return positions


def find_column(header, own, known):
    """Where in a header the wanted column is, or None. `own`: its name, instead of those known."""
    names = [_plain(h) for h in header]
    known = known if own is None else (_plain(own),)
    return next((names.index(name) for name in known if name in names), None)


def _plain(name):
    """A name of a column as names are compared. Keys of records may be numbers."""
    return str(name).strip(' "').lower().replace(" ", "_")


def read_text(path, most=MOST_LIST_BYTES) -> str:
    """The text of a file of at most so many bytes, in UTF-8, or else in Windows' Latin. Raises UserError
    with a sentence."""
    name = printable(os.path.basename(path))
    try:
        file_size(path)
        with open(path, "rb") as file:
            text = file.read(most + 1)
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


def read_lines(path, what: str) -> list[str]:
    """The lines of a text file that are not blank, stripped: list of str.

    Raises UserError, which calls the content `what`, when there is none or the file cannot be read.
    """
    lines = list(filter(None, map(str.strip, re.split("[\r\n]", read_text(path)))))
    refuse({f"{path} is empty; write {what} into it, one on each line": not lines})
    return lines


def normal(root: str, path: str) -> str:
    """A path below `root` without "." and "..", one for each file. What "link/.." leads to does not lie
    beside the link."""
    path = os.path.join(root, path)
    short, climbs = os.path.normpath(path), ".." in path and "\0" not in path
    is_other = climbs and os.path.realpath(path) != os.path.realpath(short)
    return os.path.realpath(path) if is_other else short


def relative_to(path, root):
    """A path as it is named and hashed: below root, with /, in one Unicode form on every system."""
    try:
        path = os.path.relpath(path, root)
    except ValueError:  # another drive of Windows, or a NUL
        pass
    # composing many accents of one letter takes hours, and no system has such names
    return unicodedata.normalize("NFC", path.replace(os.sep, "/")[:10_000])
