"""Your own pairs: the rows of a csv, or a folder of pictures each with a .txt beside it.

Whatever is wrong with one row or one picture costs that one alone: it goes to `skipped` with the
reason. Wrong with the index as a whole (no column of captions, nothing usable) is an error. Headers
are read here; a picture that is damaged further in is found when it is visited, and skipped then.
A tenth is held out by the hash of its path relative to the index. Left out: fetching URLs.
"""

import csv
import io
import os
import unicodedata
from pathlib import Path

from tqdm import tqdm

from miniclip.common import UserError
from miniclip.data import image_io
from miniclip.data.dataset import BadPicture, Pairs, is_held_out, printable, report_skipped

SEPARATORS = (",", "\t", ";", "|")
SEPARATOR_NAMES = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
# header names, lower-case with _ for spaces, most telling first
PICTURE_COLUMNS = ("filepath", "file_path", "image_path", "path", "filename", "file_name", "file",
                   "image", "image_file", "img", "picture", "photo")  # fmt: skip
CAPTION_COLUMNS = ("caption", "captions", "text", "description", "title", "alt_text", "alt",
                   "sentence", "label")  # fmt: skip
MOST_TEXT_BYTES = 1 << 20  # of a .txt beside a picture: more is no caption


class Files(Pairs):
    """Pairs whose pictures are files: {path: list of captions}, below `root`."""

    def __init__(self, name, root, found, skipped):
        captions, self.paths = [], []
        bar = tqdm(found.items(), desc="looking at pictures", unit="", disable=_quiet(found))
        for path, own in bar:
            try:
                image_io.check(path)
            except BadPicture as error:
                skipped.append((_relative(path, root), str(error)))
                continue
            self.paths.append(path)
            captions.append(own)
        if not captions:
            raise UserError(f"{printable(name)} gives no pair: {report_skipped(skipped)}")
        self.root = root
        splits = {"train": [], "heldout": []}
        for i, path in enumerate(self.paths):
            splits["heldout" if is_held_out(_relative(path, root)) else "train"].append(i)
        held = len(splits["heldout"])
        if held < 2 or held > len(splits["train"]):  # too few to say anything, or to learn from
            splits = {"train": list(range(len(self.paths)))}
        super().__init__(name, captions, splits, skipped)

    def image(self, i):
        """Picture i, read from its file: RGB, upright. Raises BadPicture."""
        return image_io.read(self.paths[i])

    def load_downscaled(self, i, side):
        """Picture i, a JPEG perhaps at 1/2, 1/4 or 1/8 (image_io.read). Raises BadPicture."""
        return image_io.read(self.paths[i], side)

    def where(self, i):
        """The path of picture i, relative to the csv or the folder."""
        return _relative(self.paths[i], self.root)


def open_csv(path, image_column=None, caption_column=None, separator=None):
    """Pairs from a csv with a header: a column of picture paths, relative to it, and one of captions.

    Rows with the same picture are one pair. The separator and the two columns are found by their
    looks unless given. Raises UserError when they cannot be, or when no row can be used.
    """
    path = Path(path)
    text = _decode(_read(path))
    rows, picture, caption = _table(path.name, text, image_column, caption_column, separator)
    found, skipped, root = {}, [], os.path.dirname(os.path.abspath(path))
    for line, row in rows:
        where = row[picture].strip() if picture < len(row) else ""
        said = row[caption] if caption < len(row) else ""
        said = " ".join(said.replace("\0", " ").split())
        if not where or not said:
            lacks = "no picture" if not where else "an empty caption"
            skipped.append((f"line {line}" + (f", {where}" if where else ""), lacks))
            continue
        own = found.setdefault(os.path.normpath(os.path.join(root, where)), [])
        if said not in own:
            own.append(said)
    if not found:
        raise UserError(
            f"{printable(path.name)} gives no pair: {report_skipped(skipped) or 'no rows'}"
        )
    return Files(path.name, root, found, skipped)


def open_folder(path):
    """Pairs from a folder and those in it: every picture with a .txt beside it, a caption a line.

    Raises UserError when there is none.
    """
    root, found, skipped = os.path.abspath(path), {}, []

    def closed(error):
        skipped.append((_relative(error.filename, root), "a folder that may not be read"))

    for folder, subfolders, names in os.walk(root, onerror=closed):
        subfolders[:] = sorted(s for s in subfolders if not s.startswith("."))
        present = set(names)
        for name in sorted(names):
            stem, suffix = os.path.splitext(name)
            if suffix.lower() not in image_io.SUFFIXES or name.startswith("."):
                continue
            file = os.path.join(folder, name)
            text = next((t for t in (stem + ".txt", stem + ".TXT") if t in present), None)
            if text is None:
                skipped.append((_relative(file, root), "no .txt beside it"))
                continue
            try:
                said = _decode(_read(os.path.join(folder, text), MOST_TEXT_BYTES))
            except UserError as error:
                skipped.append((_relative(file, root), str(error)))
                continue
            lines = [" ".join(line.replace("\0", " ").split()) for line in said.splitlines()]
            if not any(lines):
                skipped.append((_relative(file, root), "an empty caption"))
                continue
            found[file] = list(dict.fromkeys(line for line in lines if line))
    name = os.path.basename(root) or root
    if not found:
        why = report_skipped(skipped) or "it holds no picture"
        raise UserError(f"{printable(name)} has no picture with a .txt beside it: {why}")
    return Files(name, root, found, skipped)


def _table(name, text, image_column, caption_column, separator):
    """((line number, row) iterator after the header, picture column, caption column)."""
    name = printable(name)
    if separator is not None:
        separator = SEPARATOR_NAMES.get(separator.lower(), separator)
        if len(separator) != 1 or separator in '"\r\n\0':
            raise UserError(
                f"the separator is one character such as ',' or '\\t', not {separator!r}"
            )
    choices = []
    for candidate in (separator,) if separator else SEPARATORS:
        rows = _rows(name, text, candidate)
        header = next(rows, (0, []))[1]
        columns = (
            _column(header, image_column, PICTURE_COLUMNS),
            _column(header, caption_column, CAPTION_COLUMNS),
        )
        score = (sum(c is not None for c in columns), len(header))
        choices.append((score, header, columns, rows, candidate))
    _, header, columns, rows, separator = max(choices, key=lambda choice: choice[0])
    for column, own, what, flag, known in (
        (columns[0], image_column, "picture paths", "--image-column", "filepath"),
        (columns[1], caption_column, "captions", "--caption-column", "caption"),
    ):
        if column is None:
            seen = ", ".join(repr(printable(h, 30)) for h in header[:8]) or "none"
            want = f"no column {own!r}" if own else f"no column of {what} (such as {known!r})"
            raise UserError(f"{name} has {want}; its columns are {seen}; {flag} names another")
    return _joined(rows, columns[1], len(header), separator), *columns


def _rows(name, text, separator):
    """(line number, fields) of each row that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        for row in reader:
            if any(field.strip() for field in row):
                yield reader.line_num, row
    except csv.Error as error:
        raise UserError(f"{name}, line {reader.line_num}, is not csv: {error}") from None


def _joined(rows, caption, width, separator):
    """Rows whose last column is the caption get its unquoted separators back."""
    for line, row in rows:
        if len(row) > width and caption == width - 1:
            row = [*row[:caption], separator.join(row[caption:])]
        yield line, row


def _column(header, own, known):
    """Where in a header the wanted column is, or None. `own`: its name, instead of those known."""
    plain = [h.strip().lower().replace(" ", "_") for h in header]
    if own is not None:
        exact = [h.strip() for h in header]
        own = own.strip()
        if own in exact:
            return exact.index(own)
        known = (own.lower().replace(" ", "_"),)
    return next((plain.index(name) for name in known if name in plain), None)


def _read(path, most=None):
    """The bytes of a file. Raises UserError with a sentence."""
    try:
        with open(path, "rb") as file:
            data = file.read() if most is None else file.read(most + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{printable(path)} cannot be read: {reason}") from None
    if most is not None and len(data) > most:
        raise UserError("its .txt is too long for a caption")
    return data


def _decode(data):
    """Bytes as text: by their byte order mark, else UTF-8, else Windows' Latin; never an error."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _relative(path, root):
    """A path as it is named and hashed: below root, with /, in one Unicode form on every system."""
    try:
        path = os.path.relpath(path, root)
    except ValueError:  # another drive of Windows, or a NUL
        pass
    return unicodedata.normalize("NFC", path.replace(os.sep, "/"))


def _quiet(found):
    """tqdm's `disable`: no bar for what takes a moment, nor (None) where there is no terminal."""
    return True if len(found) < 2000 else None
