"""Your own pairs: the rows of a csv, or a folder of pictures each with a .txt beside it.

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

from tqdm import tqdm

from miniclip.common import UserError, refuse
from miniclip.data import image_io
from miniclip.data.dataset import (
    BadPicture,
    Pairs,
    file_size,
    fingerprint,
    is_held_out,
    lines,
    one_line,
    printable,
    report_skipped,
)

MOST_TEXT_BYTES = 1 << 20  # of a .txt beside a picture, and characters of a csv's field
MOST_LIST_BYTES = 1 << 26  # of a file of class names, templates or queries
csv.field_size_limit(MOST_TEXT_BYTES)
codecs.register_error(  # bytes that are not UTF-8 are read as Windows' Latin
    "windows", lambda e: (e.object[e.start : e.end].decode("cp1252", "replace"), e.end)
)
NOT_CSV = {  # the first bytes of files that people offer as a csv although they are something else
    b"PAR1": "a parquet file",
    b"ARROW1": "an Arrow file",
    b"SQLite": "a database",
    b"\x93NUMPY": "an array of numpy",
    b"PK\3\4": "a zip or Excel file",
    b"\x1f\x8b": "compressed",
    b"\xfd7zXZ": "compressed",
    b"BZh": "compressed",
    b"{": "JSON",
    b"[{": "JSON",
    b"[\n": "JSON",
}
# A field that is quoted after a space. The csv module's skipinitialspace would also take the spaces
# of a caption whose separators are not quoted.
SPACED = re.compile(r'^ +"((?:[^"]|"")*)" *$')
SEPARATORS = (",", "\t", ";", "|")
# names of columns, in lower case with _ for spaces, the most specific first
PICTURE_COLUMNS = """filepath file_path image_path path filename file_name file image image_file img
    picture photo""".split()
CAPTION_COLUMNS = "caption captions text description title alt_text alt sentence label".split()
SPLIT_COLUMN = ["split"]
SPLITS = ("train", "val", "test")  # what a column `split` divides pairs into
MARKS = {"train": 0, "training": 0, "test": 2}  # any other value is held out as "val"


def mark(value) -> int:
    """The position in SPLITS that a value of the column `split` means."""
    return MARKS.get(str(value).strip().lower(), SPLITS.index("val"))


def divided(wheres: list[str], marks: list[int] = ()) -> dict[str, list[int]]:
    """The splits of pairs: by their marks, or else by the hashes of their names: a tenth is held out,
    unless too few would be left to test or to train on."""
    if marks:
        splits = {name: [i for i, m in enumerate(marks) if m == k] for k, name in enumerate(SPLITS)}
        return {name: own for name, own in splits.items() if own or name == "train"}
    splits = {"train": [], "heldout": []}
    for i, where in enumerate(wheres):
        splits["heldout" if is_held_out(where) else "train"].append(i)
    enough = 2 <= len(splits["heldout"]) <= len(wheres) / 2
    return splits if enough else {"train": list(range(len(wheres)))}


class Files(Pairs):
    """Pairs whose pictures are files: {path: list of captions}, below `root`. marks: {path: position
    in SPLITS}, empty where nothing says what is held out."""

    def __init__(self, name, root, found, skipped, empty="no rows", marks=()):
        quiet = True if len(found) < 2000 else None  # None: no bar where there is no terminal
        self.paths, self.root = [], root
        for path in tqdm(found, desc="looking at pictures", unit="", disable=quiet):
            try:
                image_io.check(path)
                self.paths.append(path)
            except BadPicture as error:
                skipped.append((relative_to(path, root), str(error)))
        why = report_skipped(skipped) or empty
        refuse({f"{printable(name)} gives no pair: {why}": not self.paths})
        wheres = [self.where(i) for i in range(len(self.paths))]
        splits = divided(wheres, [marks[path] for path in self.paths] if marks else ())
        super().__init__(name, [found[path] for path in self.paths], splits, skipped)

    def load_downscaled(self, i, side):
        """Picture i, read from its file by image_io.read. Raises BadPicture."""
        return image_io.read(self.paths[i], side)

    def stamp(self, i):
        """See Pairs."""
        return fingerprint(self.paths[i])

    def where(self, i):
        """The path of picture i, relative to the csv or the folder."""
        return relative_to(self.paths[i], self.root)


def open_csv(path, image_column=None, caption_column=None, columns=None) -> Files:
    """Pairs from a csv: a column of picture paths, relative to it, and one of captions.

    Rows with the same picture are one pair, which is held out if the column `split` of any of them
    says so. The columns are those that fit the header unless given. columns: the header of a csv
    without one, names with commas between them. Raises UserError when none fit, or when no row can
    be used.
    """
    columns = ",".join(columns) if isinstance(columns, (list, tuple)) else columns
    others = "another; --columns image,caption is for a csv without a header"
    header, (picture, caption), rows = read_csv(
        path,
        ("picture paths", PICTURE_COLUMNS, image_column, f"; --image-column names {others}"),
        ("captions", CAPTION_COLUMNS, caption_column, f"; --caption-column names {others}"),
        columns=columns,
    )
    split = find_column(header, None, SPLIT_COLUMN)
    found, marks, skipped, root = {}, {}, [], os.path.dirname(os.path.abspath(path))
    for line, row, why in rows:
        where, said = (row[c] if c < len(row) else "" for c in (picture, caption))
        where, said = where.strip(), one_line(said)
        missing = "" if where and said else "an empty caption" if where else "no picture"
        if why or missing:
            skipped.append((f"line {line}, {where}" if where else f"line {line}", why or missing))
        else:
            file = normal(root, where)
            found.setdefault(file, {})[said] = True
            if split is not None:
                marks[file] = max(marks.get(file, 0), mark(row[split] if split < len(row) else ""))
    return Files(os.path.basename(path), root, found, skipped, marks=marks)


def is_hidden(name: str) -> bool:
    """Whether a file or folder is one that a system or a program put beside the user's own."""
    return name.startswith(".") or name == "__MACOSX"


def walk(root, skipped):
    """Iterate over (folder, names of its files), sorted and without hidden ones, `root` first.

    skipped: a list to which (path, reason) is added for each folder that is passed over. Raises
    UserError where `root` cannot be listed.
    """

    def closed(error):
        path, reason = error.filename, f"{printable(root)} cannot be read: {error.strerror}"
        refuse({reason: path == os.fspath(root)})
        path = os.path.relpath(path, root).replace(os.sep, "/")
        skipped.append((path, "a folder that may not be read"))

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
    root, found, skipped = os.path.abspath(path), {}, []
    for folder, names in walk(root, skipped):
        # by the NFC form: systems differ in how they spell an accent
        present = {unicodedata.normalize("NFC", n): n for n in names} | {n: n for n in names}
        for name in (n for n in names if image_io.is_picture(n) or n.lower().endswith(".tar")):
            stem, suffix = os.path.splitext(name)
            stems = stem, unicodedata.normalize("NFC", stem)
            texts = [present.get(s + end) for s in stems for end in (".txt", ".TXT")]
            text = next(filter(None, texts), "")
            file, is_shard = os.path.join(folder, name), suffix.lower() == ".tar"
            try:
                refuse(
                    {
                        "a shard, which is not read with pictures; name it by itself": is_shard,
                        "no .txt beside it": not text,
                    }
                )
                said = read_text(os.path.join(folder, text), MOST_TEXT_BYTES).splitlines()
                said = dict.fromkeys(filter(None, map(one_line, said)))
                refuse({"an empty caption": not said})
                found[file] = said
            except UserError as error:
                skipped.append((relative_to(file, root), str(error)))
    name = os.path.basename(root) or root
    return Files(name, root, found, skipped, "it holds no picture")


def read_csv(path, *wanted, columns=None):
    """Find columns in a csv: (header, positions of the columns, rows).

    wanted: for each column (what it holds, names that it may have, its one name or None, what an
    error adds). rows: an iterator over (line number, list of str, why the row cannot be used or
    None) of all rows that are not blank. The separator is the one of SEPARATORS that fits the header
    best. columns: the header of a csv without one, names with commas between them; the separator is
    then the one with which the first row names a file, or else has fields enough. Raises UserError;
    so do the rows.
    """
    root = os.path.dirname(os.path.abspath(path))
    name = printable(os.path.basename(path))
    start = _first_bytes(path, 8)
    kind = next((kind for first, kind in NOT_CSV.items() if start.startswith(first)), None)
    refuse({f"{name} is {kind}, and only csv can be read; convert it to a csv first": bool(kind)})
    choices = []
    for separator in SEPARATORS:
        rows = _rows(path, encoding_of(start), separator)
        first = next(rows, (None, [], None))
        header = first[1] if columns is None else columns.split(",")
        positions = [find_column(header, own, known) for _, known, own, _ in wanted]
        fit = -positions.count(None), len(header)
        if columns is not None:
            at = positions[0] or 0
            named = "".join(first[1][at : at + 1]).strip()
            fit = os.path.isfile(os.path.join(root, named)), min(len(first[1]), len(header))
            rows = itertools.chain([first] if first[0] else [], rows)
        choices.append((fit, header, rows, separator))
    _, header, rows, separator = max(choices, key=lambda choice: choice[0])
    positions = must_find(name, header, wanted)
    while not header[-1].strip():
        del header[-1]
    checked = _checked(rows, len(header), positions[0], positions[-1], separator, root)
    return header, positions, checked


def _checked(rows, width, picture, text, separator, root):
    """The rows, with a reason where a separator or a quote that is missing has shifted the fields.

    text: the column that takes the fields beyond the header's, if it is the last column.
    """
    for line, row, why in rows:
        while row[width:] and not row[-1].strip():  # spreadsheets fill short rows up
            row.pop()
        if text == width - 1:  # separators that should have been quoted
            row[text:] = [separator.join(row[text:])] * (len(row) > text)
        elif row[width:]:
            why = f"it has {len(row)} fields and the header {width}; is a {separator!r} not quoted?"
        row = [SPACED.sub(lambda quoted: quoted[1].replace('""', '"'), field) for field in row]
        for column, field in enumerate(row):
            # a quote that is not closed swallows the rows after it; they stand in this field
            inner = [r.split(separator) for r in (separator * column + field).splitlines()]
            wheres = {"".join(r[picture : picture + 1]).strip() for r in inner if len(inner) > 1}
            files = (os.path.isfile(os.path.join(root, where)) for where in wheres)
            if any(map(image_io.is_picture, wheres)) or any(files):
                why = "a field of it goes on with other rows; is a quote not closed?"
        yield line, row, why


def _rows(path, encoding, separator):
    """(line number, fields, None) of each row that is not blank, or (line number, [], what is wrong)."""
    row = ()
    with open(path, encoding=encoding, errors="windows", newline="") as file:
        reader = csv.reader(lines(file), delimiter=separator, strict=True)
        while row is not None:
            first = reader.line_num + 1
            try:
                row = next(reader, None)
                if any(field.strip() for field in row or ()):
                    yield reader.line_num, row, None
            except csv.Error as error:  # the next line is a new row
                why = (
                    f"a field of more than {MOST_TEXT_BYTES:,} characters; is a quote not closed?"
                    if "limit" in str(error)
                    else f"not a csv from line {first} on: {error}; are quotes closed, and doubled inside?"
                )
                yield reader.line_num, [], why


def must_find(name, header, wanted):
    """The positions of columns, `wanted` as for read_csv, in the header of what is called `name`.
    Raises UserError where one is missing, or there twice."""
    positions = [find_column(header, own, known) for _, known, own, _ in wanted]
    seen = ", ".join(repr(printable(h, 30)) for h in header[:8]) or "none"
    for (what, known, own, hint), position in zip(wanted, positions):
        want = f"no column {own!r}" if own else f"no column of {what} (such as {known[0]!r})"
        refuse({f"{name} has {want}; its columns are {seen}{hint}": position is None})
        twice = f"{name} has two columns called {header[position]!r}; rename one"
        refuse({twice: header.count(header[position]) > 1})
    return positions


def find_column(header, own, known):
    """Where in a header the wanted column is, or None. `own`: its name, instead of those known."""
    exact = [str(h).strip(' "') for h in header]  # keys of records may be numbers
    plain = [h.lower().replace(" ", "_") for h in exact]
    if own is not None:
        own = str(own).strip()
        if own in exact:
            return exact.index(own)
        known = (own.lower().replace(" ", "_"),)
    return next((plain.index(name) for name in known if name in plain), None)


def read_text(path, most=MOST_LIST_BYTES) -> str:
    """The text of a file of at most so many bytes, in UTF-8, UTF-16 with its mark, or Windows' Latin.
    Raises UserError with a sentence."""
    data = _first_bytes(path, most + 1, file_size)
    text = data.decode(encoding_of(data), "windows")
    name, is_text = printable(os.path.basename(path)), "\0" not in text.strip("\0\r\n")
    refuse(
        {
            f"{name} is too long: more than {most:,} bytes": len(data) > most,
            f"{name} is not text, or its encoding is unknown; save it as UTF-8": not is_text,
        }
    )
    return text


def read_lines(path, what: str) -> list[str]:
    """The lines of a text file that are not blank, stripped: list of str.

    Raises UserError, which calls the content `what`, when there is none or the file cannot be read.
    """
    lines = list(filter(None, map(str.strip, re.split("[\r\n]", read_text(path)))))
    if not lines:
        raise UserError(f"{path} holds no {what}; give one a line")
    return lines


def encoding_of(start):
    """The encoding of a text by its first bytes."""
    return "utf-16" if start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def _first_bytes(path, count, check=os.stat):
    """The first bytes of a file for which check(path) raises no OSError. Raises UserError."""
    try:
        check(path)
        with open(path, "rb") as file:
            return file.read(count)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{printable(os.path.basename(path))} cannot be read: {reason}") from None


def normal(root: str, path: str) -> str:
    """A path below `root` without "." and "..", one for each file, and with accents as the disk spells
    them, as one character or as two. What "link/.." leads to does not lie beside the link."""
    # no system has longer names
    forms = (path, *(unicodedata.normalize(form, path[:5_000]) for form in ("NFC", "NFD")))
    paths = [os.path.join(root, form) for form in forms]
    path = next(filter(os.path.lexists, paths), paths[0])
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
