"""Pairs from records: a list in Python, a dataset of Hugging Face, a .jsonl or a .parquet file.

A record is (picture, caption), or a dict whose keys are found as a csv's columns are. A picture is a
path, relative to the file of records, a PIL image, the bytes of a picture's file, or a dict with
"bytes" and "path", as Hugging Face stores pictures in parquet. A caption is a text or a list of texts.
A record that cannot be used goes to `skipped` with the reason. A tenth is held out, by the hash of the
path, or else of the record's number, unless a column `split` says what is held out. Left out: parquet files that are larger than memory.
"""

import io
import itertools
import json
import os
import pickle
from collections.abc import Iterable

from PIL import Image

from miniclip.common import UserError, refuse
from miniclip.data import image_io
from miniclip.data.dataset import BadPicture, Pairs, lines, one_line, printable, report_skipped
from miniclip.data.files import (
    CAPTION_COLUMNS,
    PICTURE_COLUMNS,
    SPLIT_COLUMN,
    divided,
    find_column,
    mark,
    must_find,
    normal,
    relative_to,
)
from miniclip.data.transforms import to_rgb

# What a parquet file may become: this many bytes, and this many more for each of its own
LEAST_BYTES, INFLATED = 1 << 26, 50
ROW_BYTES = 256  # that a record takes in memory, at the least
ROWS_AT_ONCE = 64  # of a parquet file, whose memory is then counted
SUFFIXES = (".jsonl", ".ndjson", ".parquet")


class Records(Pairs):
    """Pairs whose pictures are asked for one by one. items: the records; of these, pair i is number
    kept[i], and its picture is under the key `column`. root: the folder of paths. captions: {what pair
    i is called: [its captions]}; marks: as `divided` takes them."""

    def __init__(self, name, items, column, kept, root, captions, marks, skipped):
        why = report_skipped(skipped) or "no records"
        refuse({f"{printable(name)} gives no pair: {why}": not captions})
        self.wheres = [*captions]
        super().__init__(name, captions.values(), divided(self.wheres, marks), skipped)
        self.items, self.column, self.kept, self.root = items, column, kept, root

    def load_downscaled(self, i, side):
        """Picture i. Raises BadPicture."""
        try:
            picture = _opened(self.items[self.kept[i]][self.column], self.root)
            drawn = isinstance(picture, Image.Image)
            return to_rgb(picture) if drawn else image_io.read(picture, side)
        except BadPicture:
            raise
        except Exception as error:  # a dataset and Pillow decode only here, and raise anything
            raise BadPicture(f"damaged: {error}") from None

    def where(self, i):
        """The path of picture i as the record has it, or "record 7"."""
        return self.wheres[i]


def open_records(
    records, image_column=None, caption_column=None, name="records", root="."
) -> Records:
    """Pairs from a sequence of records, or from a dataset with column_names. root: the folder that
    paths are relative to. Raises UserError where a column is missing, or no record can be used."""
    is_dataset = hasattr(records, "column_names")
    if not is_dataset:
        keys, kinds = ("image", "caption"), (list, tuple, dict)
        records = list(records) if isinstance(records, Iterable) else [records]
        odd = [r for r in records if not isinstance(r, kinds)]
        odd += [r for r in records if isinstance(r, kinds[:2]) and len(r) != len(keys)]
        what = "a record is (picture, caption), or a dict with names of columns"
        refuse({f"{what}, not {odd[0]!r:.80}" if odd else "": bool(odd)})
        records = [r if isinstance(r, dict) else dict(zip(keys, r)) for r in records]
    columns = (
        records.column_names if is_dataset else dict.fromkeys(key for r in records for key in r)
    )
    refuse({f"{printable(name)} has no records": not columns})
    wanted = [("pictures", PICTURE_COLUMNS, image_column, "")]
    wanted += [("captions", CAPTION_COLUMNS, caption_column, "")]
    positions = must_find(printable(name), [*columns], wanted)
    picture, caption = ([*columns][position] for position in positions)
    split = find_column([*columns], None, SPLIT_COLUMN)
    kept, captions, marks, skipped = [], {}, {}, []

    def values(column):  # a column of a dataset is read without decoding its pictures
        return records[column] if is_dataset else (record.get(column) for record in records)

    parts = map(mark, values([*columns][split])) if split is not None else itertools.repeat(0)
    for i, (said, part) in enumerate(zip(values(caption), parts)):
        where = f"record {i}"
        try:
            said = (
                [said] if isinstance(said, str) else said if isinstance(said, (list, tuple)) else []
            )
            texts = (
                text.encode(errors="replace").decode() for text in said if isinstance(text, str)
            )
            said = dict.fromkeys(filter(None, map(one_line, texts)))
            refuse({"no caption": not said})
            if not is_dataset:
                opened = _opened(records[i].get(picture), root)
                if not isinstance(opened, Image.Image):
                    image_io.check(opened)
                if isinstance(opened, str):
                    where = relative_to(normal(root, opened), root)
        except UserError as error:
            skipped.append((where, str(error)))
            continue
        if where not in captions:  # two pairs of one picture would be false negatives of each other
            kept.append(i)
        captions.setdefault(where, {}).update(said)
        marks[where] = max(marks.get(where, 0), part)
    marks = [*marks.values()] if split is not None else ()
    return Records(name, records, picture, kept, root, captions, marks, skipped)


def _opened(picture, root):
    """What a record's picture is read from: a PIL image, a path, or the bytes of a file in a BytesIO.
    Raises BadPicture."""
    if isinstance(picture, dict):  # "path" beside bytes is only a name, which others may have too
        picture = picture.get("bytes") or picture.get("path")
    if isinstance(picture, (str, os.PathLike)):
        return normal(root, os.fspath(picture))
    if isinstance(picture, bytes):
        return io.BytesIO(picture)
    if not isinstance(picture, Image.Image):
        raise BadPicture("no picture")
    odd = picture.mode == "F" or (picture.mode == "I" and picture.format != "PNG")
    refuse({"its levels have 32 bits and no fixed range; give 8 bits": odd})
    return picture


def open_file(path, image_column=None, caption_column=None) -> Records:
    """Pairs from a .jsonl (a JSON object on each line) or a .parquet file. Raises UserError."""
    name, root = os.path.basename(path), os.path.dirname(os.path.abspath(path))
    try:
        records = _parquet(path) if path.lower().endswith(".parquet") else _json_lines(path)
    except OSError as error:
        raise UserError(f"{printable(name)} cannot be read: {error.strerror or error}") from None
    return open_records(records, image_column, caption_column, name, root)


def _json_lines(path):
    records = []
    with open(path, encoding="utf-8-sig", errors="windows") as file:
        for number, line in enumerate(lines(file), 1):
            try:
                record = json.loads(line, parse_int=float) if line.strip() else {}
            except (ValueError, RecursionError):
                record = None
            what = f"line {number} of {printable(path)} is no JSON object"
            refuse({what: not isinstance(record, dict)})
            records += [record] if record else []
    return records


def _parquet(path):
    try:
        import pyarrow.parquet
    except ImportError:
        raise UserError("parquet files need: pip install pyarrow") from None
    try:
        file, most = (
            pyarrow.parquet.ParquetFile(path),
            LEAST_BYTES + INFLATED * os.path.getsize(path),
        )
        groups = map(file.metadata.row_group, range(file.metadata.num_row_groups))
        rows, size = file.metadata.num_rows, sum(group.total_byte_size for group in groups)
        bomb = f"{printable(path)} would take far more memory than it has bytes"
        refuse({bomb: size > most or ROW_BYTES * rows > most})
        names, records = file.schema_arrow.names, []
        twice = sorted({n for n in names if names.count(n) > 1})
        # Python cannot hold some times, and a time is no picture and no caption
        kept = [f.name for f in file.schema_arrow if not pyarrow.types.is_temporal(f.type)]
        most *= 4  # as objects of Python
        for batch in () if twice else file.iter_batches(ROWS_AT_ONCE, columns=kept):
            rows = batch.to_pylist()
            records += rows
            most -= len(pickle.dumps(rows))  # a value that is stored once may fill all rows
            refuse({bomb: most < 0})
    except UserError:
        raise
    except (pyarrow.ArrowException, ValueError, OverflowError) as error:
        raise UserError(f"{printable(path)} is damaged: {error!s:.100}") from None
    shown = ", ".join(map(printable, twice))
    refuse({f"{printable(path)} has two columns called {shown}; rename one": bool(twice)})
    return records
