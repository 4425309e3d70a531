"""Pairs of pictures and captions (CLIP, section 2.2), from a source to batches of tensors.

Read in this order: dataset.py (what every source offers), transforms.py (from a picture to a
tensor, section 2.4), image_io.py (reading a picture file), files.py (pairs from a csv or a folder),
records.py (pairs from Python, jsonl and parquet), and loader.py (batches). emoji/ is the source
that comes with miniclip, icons/ has the icons of a hundred teams, and shards/ reads and writes tars
of pairs. curation/ chooses pairs by the words of their captions. labelled.py reads pictures that
have a class each, for evaluation. threads.py works on many pictures at once, and cache.py keeps
files that would be slow to make again.
"""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from miniclip.common import UserError, checked, refuse
from miniclip.data.dataset import (
    BadPicture,
    Joined,
    Pairs,
    keep_pairs,
    must_exist,
    printable,
    report_skipped,
)
from miniclip.data.emoji.emoji import Emoji
from miniclip.data.files import Files, open_csv, open_folder
from miniclip.data.icons.icons import Icons
from miniclip.data.records import SUFFIXES, open_file, open_records
from miniclip.data.shards.shards import is_shards, open_shards

# As sources, these two words always mean the built-in sets. A folder called icons is given as
# ./icons, or in Python as a Path.
EMOJI, ICONS = BUILT_IN = "emoji", "icons"
NONE = "none"  # `--val-data none` holds out no pairs
SOURCE_OPTIONS = {  # the parameters of open_pairs beside the source: their help in all commands
    "image_column": "csv, jsonl, parquet: the column of pictures (default: recognised by name)",
    "caption_column": "csv, jsonl, parquet: the column of captions (default: recognised by name)",
    "columns": "csv: names of its columns, e.g. image,caption, if the first line is not a header",
    "caption_key": 'shards: the key of the caption in a .json (default: "captions" or "caption")',
    "cache_dir": "shards: folder for shards fetched over http, s3 or gs (default: in the cache)",
    "icons": "icons: folder with the npm package of icons (default: fetched once into the cache)",
}
COLUMNS = {"image_column", "caption_column"}
SOURCE_FLAGS = {
    f"--{name.replace('_', '-')}": dict(help=text) for name, text in SOURCE_OPTIONS.items()
}

__all__ = ["BadPicture", "Pairs", "open_pairs", "report_skipped"]


@checked
def open_pairs(
    source: str | Path | Iterable | None = None,
    image_column: str | None = None,
    caption_column: str | None = None,
    columns: str | list | tuple | None = None,
    caption_key: str | None = None,
    cache_dir: str | Path | None = None,
    icons: str | Path | None = None,
) -> Pairs:
    """Open a source of pairs.

    source: "emoji" or None stands for the emoji that come with miniclip, and "icons" for the sets
    of icons that a hundred teams of designers have published. Any other text, and any Path, is the
    path of a csv, a folder, shards, or a .jsonl or .parquet file; ~ is expanded. From Python,
    source may also be a list of (picture, caption), or a dataset of Hugging Face (records.py).

    image_column, caption_column: the name of the column that holds the pictures, and the name of
    the column that holds the captions. They are only needed if miniclip does not recognise these
    columns by their names.
    columns: for a csv that has no header line, the names of all its columns, as a list or separated
    by commas.
    caption_key, cache_dir: see open_shards. icons: the folder that holds the npm package of icons.

    Raises UserError when there is no such source, when the source gives no pair, or when an option
    is for another kind of source.
    """
    options = dict(
        image_column=image_column,
        caption_column=caption_column,
        columns=columns,
        caption_key=caption_key,
        cache_dir=_expanded(cache_dir),
        icons=_expanded(icons),
    )
    given = {name: value for name, value in options.items() if value is not None}
    source = _expanded(source)
    opener, takes, shown = _opener(source)
    for name in sorted(given.keys() - takes):
        kinds = SOURCE_OPTIONS[name].partition(":")[0]
        raise UserError(f"--{name.replace('_', '-')} is for {kinds}, not for {shown}")
    return opener(source, **given)


def _expanded(source):
    """A path as a str, with ~ expanded; anything else as it is. A Path never means a built-in set,
    because Path("./icons") is Path("icons")."""
    if not isinstance(source, (str, os.PathLike)):
        return source
    path = os.path.expanduser(source)
    is_word = path in (*BUILT_IN, NONE) and isinstance(source, os.PathLike)
    return os.path.join(os.curdir, path) if is_word else path


def _opener(source):
    """(a function that opens the source, the names of the options that this function takes, the
    text by which a message names the source). Raises UserError if there is no such source."""
    if not isinstance(source, (str, type(None))):
        return open_records, COLUMNS, "records"
    if source in (None, EMOJI):
        return lambda source: Emoji(), set(), EMOJI
    if source == ICONS:
        return lambda source, icons=None: Icons(icons), {"icons"}, source
    shown = printable(source)
    if is_shards(source):
        shown += ", a source of shards, which takes --caption-key and --cache-dir"
        return open_shards, {"caption_key", "cache_dir"}, shown
    if os.path.isdir(source):
        return open_folder, set(), shown
    must_exist(source, "a csv file, a folder or .tar shards")
    is_file = source.lower().endswith(SUFFIXES)
    return *((open_file, COLUMNS) if is_file else (open_csv, COLUMNS | {"columns"})), shown


def open_divided(source=None, kept=None, val_data=None, **options) -> Pairs:
    """The pairs that `open_pairs` gives, divided into pairs to train on and pairs to hold out.

    kept: which pairs to train on, see keep_pairs.
    val_data: None leaves the splits of the source as they are. If it names another source, all
    pairs of that other source are held out, as the split "val". If it is the word "none", there is
    no split "val". Two things change for `source` if val_data is another source or "none": the
    pairs that the hash would hold out otherwise are trained on, too, and the rows that its column
    `split` marks as "val" are not used.
    """
    val_data = _expanded(val_data)
    built_in = source in (None, *BUILT_IN)
    same = val_data and not built_in and os.path.realpath(str(source)) == os.path.realpath(val_data)
    refuse(
        {
            "--val-data needs --data with pairs of your own; emoji and icons hold out pairs "
            "themselves": (val_data and built_in),
            "--val-data and --data name the same source; give --val-data other pairs": same,
        }
    )
    pairs = open_pairs(source, **options)
    if val_data:
        train = [pairs.splits["train"], pairs.splits.pop("heldout", [])]
        pairs.splits["train"] = np.sort(np.concatenate(train).astype(np.int64))
        pairs.splits.pop("val", None)
    keep_pairs(pairs, kept)
    if val_data in (None, NONE):
        return pairs
    options = {name: options[name] for name in options if name in _opener(val_data)[1]}
    held = open_pairs(val_data, **options)
    is_files, train = isinstance(pairs, Files), pairs.splits["train"]  # or shards
    files = [pairs.sources[i] for i in train] if is_files else pairs.paths
    # [1:3] are the numbers of the file and of its disk, whatever name or link leads there
    trained = {os.stat(file)[1:3] for file in files if isinstance(file, str)}
    both = sorted(file for file in held.paths if os.stat(file)[1:3] in trained)
    refuse(
        {
            f"--val-data has {len(both):,} of the files that --data trains on, such as "
            f"{printable(file)}; give --val-data other pairs, or take these out of --data": True
            for file in both[:1]
        }
    )
    return Joined(pairs, held)


def source_options(options: dict) -> dict:
    """The part of `options` that open_pairs takes beside the source: {name: value}.

    options: all options of a command, {name: value}.
    """
    return {name: options[name] for name in SOURCE_OPTIONS}
