"""Pairs of pictures and captions (CLIP, section 2.2), from a source to batches of tensors.

Read dataset.py (what every source offers), transforms.py (a picture to a tensor, section 2.4),
image_io.py and files.py (pictures from files; pairs from a csv or a folder), records.py (pairs from Python, jsonl and
parquet), and loader.py (batches).
emoji/ is the embedded source, icons/ has the icons of many sites, and shards/ reads and writes tars.
curation/ chooses pairs by the words of their captions. labelled.py reads pictures with classes, for
evaluation, and threads.py works on many pictures at once. cache.py keeps what is slow to make again.
"""

import os

from miniclip.common import UserError, path, refuse
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
    "sites": "icons: the sets to train on, a,b,c (default: all but those held out)",
    "held_out_sites": "icons: the sets to test on (default: fontawesome, never trained on)",
}
COLUMNS, SITES = {"image_column", "caption_column"}, {"sites", "held_out_sites"}
SOURCE_FLAGS = {
    f"--{name.replace('_', '-')}": dict(help=text) for name, text in SOURCE_OPTIONS.items()
}

__all__ = ["BadPicture", "Pairs", "open_pairs", "report_skipped"]


def open_pairs(
    source=None,
    image_column=None,
    caption_column=None,
    sites=None,
    held_out_sites=None,
) -> Pairs:
    """Pairs from a source: "emoji" or None are the embedded emoji, "icons" the icons of many sites,
    else the path of a csv, a folder, shards, or a .jsonl or .parquet file, in which ~ is expanded; or,
    from Python, a list of (picture, caption) or a dataset of Hugging Face (records.py).

    image_column and caption_column name the columns where they are not understood by themselves.
    sites and held_out_sites are for icons: names with commas between them, of the sets to train on
    and to hold out. Raises UserError when there is no such source, when it has no pair, or when an
    option is for another kind of source.
    """
    options = dict(image_column=image_column, caption_column=caption_column)
    options |= dict(sites=sites, held_out_sites=held_out_sites)
    given = {name: value for name, value in options.items() if value is not None}
    source = EMOJI if source is None else source
    if isinstance(source, (str, os.PathLike)):
        source = os.path.expanduser(os.fspath(source))
    opener, takes, shown = _opener(source)
    for name in sorted(given.keys() - takes):
        kind = "icons" if name in SITES else "a csv or records"
        raise UserError(f"--{name.replace('_', '-')} is for {kind}, not for {shown}")
    return opener(source, **given)


def _opener(source):
    """(what opens a source: a function of the source and options, the names of these options, what a
    message calls the source). Raises UserError where there is no such source."""
    if not isinstance(source, str):
        return open_records, COLUMNS, "records"
    if source == EMOJI:
        return lambda source: Emoji(), set(), source
    if source == ICONS:
        return _open_icons, SITES, source
    shown = printable(source)
    if is_shards(source):
        shown += ', a source of shards, whose captions are the .txt or the "caption" of the .json'
        return open_shards, set(), shown
    if os.path.isfile(source):
        return open_file if source.lower().endswith(SUFFIXES) else open_csv, COLUMNS, shown
    missing = f"{shown} not found; expected a csv file, a folder or .tar shards"
    refuse({missing: not os.path.isdir(source)})
    return open_folder, set(), shown


def _open_icons(source, **sites):
    return Icons(**{name: text.split(",") for name, text in sites.items()})


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
