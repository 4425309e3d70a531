"""Pairs of pictures and captions (CLIP, section 2.2), from a source to batches of tensors.

Read dataset.py (what every source offers), transforms.py (a picture to a tensor, section 2.4),
image_io.py and files.py (pictures from files; pairs from a csv or a folder), records.py (pairs from Python, jsonl and
parquet), and loader.py (batches).
emoji/ is the embedded source, icons/ has the icons of many sites, and shards/ reads and writes tars.
curation/ chooses pairs by the words of their captions. labelled.py reads pictures with classes, for
evaluation. cache.py keeps what is slow to make again.
"""

import os

from miniclip.common import path, refuse
from miniclip.data.dataset import BadPicture, Pairs, printable, report_skipped
from miniclip.data.emoji.emoji import Emoji
from miniclip.data.files import open_csv, open_folder
from miniclip.data.icons.icons import Icons
from miniclip.data.records import SUFFIXES, open_file, open_records
from miniclip.data.shards.shards import is_shards, open_shards

# As sources, these two words always mean the built-in sets; a folder of that name is ./icons.
EMOJI, ICONS = "emoji", "icons"
SOURCE_OPTIONS = {  # what open_pairs takes beside the source, and its help in all commands
    "image_column": "csv, jsonl, parquet: the column of picture paths (default: sniffed)",
    "caption_column": "csv, jsonl, parquet: the column of captions (default: sniffed)",
    "separator": "csv: the separator (default: sniffed)",
    "sites": "icons: the sets to train on, a,b,c (default: all but those held out)",
    "held_out_sites": "icons: the sets to test on (default: fontawesome, never trained on)",
}
SOURCE_FLAGS = {
    f"--{name.replace('_', '-')}": dict(help=text) for name, text in SOURCE_OPTIONS.items()
}

__all__ = ["BadPicture", "Pairs", "open_pairs", "report_skipped"]


def open_pairs(
    source=None,
    image_column=None,
    caption_column=None,
    separator=None,
    sites=None,
    held_out_sites=None,
    csv_as=open_csv,
) -> Pairs:
    """Pairs from a source: "emoji" or None are the embedded emoji, "icons" the icons of many sites,
    else the path of a csv, a folder, shards, or a .jsonl or .parquet file, in which ~ is expanded; or,
    from Python, a list of (picture, caption) or a dataset of Hugging Face (records.py).

    image_column and caption_column name the columns where they are not understood by themselves, and
    separator is for a csv. sites and held_out_sites are for icons: names with commas between them, of the sets to
    train on and to hold out. csv_as: the function that opens a csv. Raises UserError when there is no
    such source, when it has no pair, or when an option is for another kind of source.
    """
    columns = dict(image_column=image_column, caption_column=caption_column)
    icons = dict(sites=sites, held_out_sites=held_out_sites)
    if not isinstance(source, (str, os.PathLike, type(None))):
        others = any(value is not None for value in (separator, *icons.values()))
        refuse({"records take no other options than the names of their columns": others})
        return open_records(source, **columns)
    source = EMOJI if source is None else os.path.expanduser(os.fspath(source))
    if source in (EMOJI, ICONS):
        kind = source
    elif is_shards(source):
        kind = "shards"
    elif os.path.isfile(source) and source.lower().endswith(SUFFIXES):
        kind = "a file of records"
    else:
        kind = "a csv" if os.path.isfile(source) else "a folder"
    missing = kind == "a folder" and not os.path.isdir(source)
    shown = printable(source)
    refuse({f"{shown} not found; expected a csv file, a folder or .tar shards": missing})
    if kind == "shards":
        shown += ', a source of shards, whose captions are the .txt or the "caption" of the .json'
    fits = {
        "a csv": ("a csv",),
        "a csv or records": ("a csv", "a file of records"),
        ICONS: (ICONS,),
    }
    options = {"a csv": {"separator": separator}, "a csv or records": columns, ICONS: icons}
    for own, given in options.items():
        for name, value in given.items():
            flag = f"--{name.replace('_', '-')}"
            refuse(
                {
                    f"{flag} is for {own}, not for {shown}": value is not None
                    and kind not in fits[own]
                }
            )
    if kind == EMOJI:
        return Emoji()
    if kind == ICONS:
        return Icons(**{k: v.split(",") for k, v in icons.items() if v is not None})
    if kind == "a csv":
        return csv_as(source, separator=separator, **columns)
    if kind == "a file of records":
        return open_file(source, **columns)
    return open_shards(source) if kind == "shards" else open_folder(source)


def source_or_none(text):
    """An argparse type: a source of pairs; None, the default of train.py, for "emoji"."""
    return None if text == EMOJI else path(str)(text)


def add_source_options(parser):
    """Add the options of SOURCE_FLAGS to a command line."""
    for flag, how in SOURCE_FLAGS.items():
        parser.add_argument(flag, **how)


def source_options(options: dict) -> dict:
    """Of all the options of a command, by name, those that open_pairs takes beside the source."""
    return {name: options[name] for name in SOURCE_OPTIONS}
