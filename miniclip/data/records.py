"""Pairs from records: a list in Python, a dataset of Hugging Face, a .jsonl or a .parquet file.

A record is (picture, caption), or a dict whose keys are recognised in the same way as the columns
of a csv. A picture is one of the following: a path, relative to the file of records; a PIL image;
the bytes of a picture file; or a dict with "bytes" and "path", as Hugging Face stores pictures in
parquet. A caption is a text or a list of texts. A record that cannot be used goes to `skipped` with
the reason.

A tenth of the pairs is held out, by the hash of the picture's path, or of the record's number if
the picture has no path. If there is a column `split`, it decides instead. Left out: parquet files
that are larger than memory.
"""

import contextlib
import functools
import json
import os
import pickle

from PIL import UnidentifiedImageError

from miniclip.common import UserError, in_words, refuse
from miniclip.data.dataset import lines, one_line, printable, texts
from miniclip.data.files import (
    CAPTION_COLUMNS,
    NO_TEXT,
    PICTURE_COLUMNS,
    UNMARKED,
    Files,
    find_column,
    mark,
    must_be_text,
    must_find,
    source_of,
)

# how many bytes a parquet file may take when it is read: LEAST_BYTES, and INFLATED for each of its
# bytes
LEAST_BYTES, INFLATED = 1 << 26, 50
ROW_BYTES = 256  # the least memory that a record takes
ROWS_AT_ONCE = 64  # rows of a parquet file that are read before their memory is counted
SUFFIXES = (".jsonl", ".ndjson", ".parquet")


def open_records(
    records, image_column=None, caption_column=None, name="records", root="."
) -> Files:
    """Pairs from a sequence of records, or from a dataset that has column_names.

    image_column, caption_column: the names of the two columns; None: they are recognised. name:
    what messages call the records. root: the folder that paths are relative to. Raises UserError
    when a column is missing, or when no record can be used.
    """
    root = os.path.abspath(root)
    # a dict of datasets has column_names as well
    is_dataset = hasattr(records, "column_names") and not isinstance(records, dict)
    refuse(
        {
            "a streamed dataset cannot be read; load it without streaming": (
                is_dataset and not hasattr(records, "__len__")
            ),
            "records must be in an order; give a list": isinstance(records, (set, frozenset)),
        }
    )
    records = records if is_dataset else [_as_dict(record) for record in records]
    columns = (
        records.column_names if is_dataset else [*dict.fromkeys(k for r in records for k in r)]
    )
    refuse({f"{printable(name)} has no records": not columns})
    picture, caption = (
        columns[n]
        for n in must_find(printable(name), columns, _wanted(image_column, caption_column))
    )
    split = find_column(columns, "split", ())

    def values(column):  # reading one column of a dataset does not decode the pictures of another
        return records[column] if is_dataset else (record.get(column) for record in records)

    pictures = values(picture)
    # a column of pictures is decoded later, but paths tell now which records are one pair
    if is_dataset and "string" not in getattr(
        getattr(records, "features", {}).get(picture), "dtype", ""
    ):
        pictures = (
            functools.partial(_picture, records, i, picture, root) for i in range(len(records))
        )
    marks = [UNMARKED] * len(records) if split is None else map(mark, values(columns[split]))
    rows = (
        (
            _called(i, picture),
            picture,
            # UTF-8 cannot hold halves of surrogate pairs
            (text.encode(errors="replace").decode() for text in texts(said)),
            part,
            None,
        )
        for i, (picture, said, part) in enumerate(zip(pictures, values(caption), marks))
    )
    # a dataset's transform may leave out columns, and decodes the pictures to give the captions
    with in_words(
        "the dataset has a transform that leaves out a column, or fails for a picture; take it off",
        KeyError,
        UnidentifiedImageError,
    ):
        return Files(name, root, rows, [], "no records")


def _wanted(image_column, caption_column):
    """The columns of pictures and of captions, as must_find takes them."""
    return (
        # in the data sets of Hugging Face a name of a file often stands beside the picture itself
        ("pictures", ["image", *PICTURE_COLUMNS], image_column, ""),
        ("captions", CAPTION_COLUMNS, caption_column, ""),
    )


def _as_dict(record):
    """A record as a dict. Raises UserError if the record is neither a dict nor a pair."""
    if isinstance(record, dict):
        return record
    if isinstance(record, (list, tuple)) and len(record) == 2:
        return {"image": record[0], "caption": record[1]}
    raise UserError(
        f"a record must be (picture, caption) or a dict {{column: value}}, not "
        f"{printable(repr(record))}"
    )


def _picture(dataset, i, column, root):
    """Picture i of a dataset, as source_of returns it. The dataset decodes the picture only now."""
    return source_of(dataset[i][column], root)


def _called(i, picture):
    """What messages call record i: its number, and the path of its picture if it has one."""
    path = (
        picture.get("path")
        if isinstance(picture, dict) and picture.get("bytes") is None
        else picture
    )
    return f"record {i}" + f", {path}" * isinstance(path, (str, os.PathLike))


def open_file(path, image_column=None, caption_column=None) -> Files:
    """Pairs from a .jsonl file, which has a JSON object on each line, or from a .parquet file.
    Raises UserError, or OSError when the file cannot be read."""
    name, root = os.path.basename(path), os.path.dirname(os.path.abspath(path))
    wanted = _wanted(image_column, caption_column)
    records = _parquet(path, wanted) if path.lower().endswith(".parquet") else _json_lines(path)
    return open_records(records, image_column, caption_column, name, root)


def _json_lines(path):
    must_be_text(path, NO_TEXT)
    with open(path, encoding="utf-8-sig", errors="windows") as file:
        for number, line in enumerate(lines(file), 1):
            where, record = f"line {number} of {printable(path)}", None
            too_deep = in_words(f"{where} is nested too deeply to be read", RecursionError)
            with too_deep, contextlib.suppress(ValueError):
                record = json.loads(
                    line,
                    parse_int=float,
                    object_pairs_hook=lambda items: (
                        dict(items) if len(dict(items)) == len(items) else None
                    ),
                )
            if line.strip():
                refuse(
                    {
                        f"{where} is not a JSON object, or has a key twice": (
                            not isinstance(record, dict)
                        )
                    }
                )
                yield record


def _parquet(path, wanted):
    """Yield the rows of a parquet file with the columns that are used. Python may be unable to hold
    the values of other columns, such as times of the year 0."""
    with in_words("parquet files need: pip install pyarrow", ImportError):
        import pyarrow.parquet
    name, most = printable(path), LEAST_BYTES + INFLATED * os.path.getsize(path)
    bomb = f"{name} would take more than {INFLATED} times its size in memory, so it is not read"
    try:
        file = pyarrow.parquet.ParquetFile(path)
        groups = [file.metadata.row_group(k) for k in range(file.num_row_groups)]
        refuse({bomb: sum(max(g.total_byte_size, ROW_BYTES * g.num_rows) for g in groups) > most})
        names = file.schema_arrow.names
        used = [*must_find(name, names, wanted), find_column(names, "split", ())]
        kept = [names[k] for k in used if k is not None]
        most *= 4  # because Python's objects take more memory
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=kept):
            rows = batch.to_pylist()
            most -= len(pickle.dumps(rows))  # all rows may repeat a value that is stored once
            refuse({bomb: most < 0})
            yield from rows
    except UserError:
        raise
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        if getattr(error, "strerror", None):  # of the system; pyarrow's own have none
            raise
        raise UserError(f"{name} is damaged: {one_line(str(error)):.100}") from None
