"""Pairs of pictures and captions (CLIP, section 2.2), from a source to batches of tensors.

Read dataset.py (what every source offers), transforms.py (a picture to a tensor, section 2.4),
image_io.py and files.py (pictures from files; pairs from a csv or a folder), loader.py (batches) and
prefetch.py (to a GPU). emoji/ is the embedded source, shards/ reads and writes tars. labelled.py
reads pictures with classes, for evaluation; cache.py keeps what is slow to make again.
"""

import os

from miniclip.common import UserError
from miniclip.data.dataset import BadPicture, Pairs, printable, report_skipped
from miniclip.data.emoji.dataset import Emoji
from miniclip.data.files import open_csv, open_folder
from miniclip.data.shards.dataset import is_shards, open_shards

__all__ = ["BadPicture", "Pairs", "add_csv_options", "open_pairs", "report_skipped"]


def open_pairs(source=None, image_column=None, caption_column=None, separator=None):
    """Pairs from a source: None is the embedded emoji, else the path of a csv, a folder or shards.

    The three options are for a csv whose header is not understood by itself. Raises UserError when
    there is no such source, or no pair in it.
    """
    options = dict(image_column=image_column, caption_column=caption_column, separator=separator)
    source = None if source is None else os.fspath(source)
    shards = source is not None and is_shards(source)
    if source is not None and os.path.isfile(source) and not shards:
        return open_csv(source, **options)
    for name, value in options.items():
        if value is not None:
            option = f"--{name.replace('_', '-')}"
            raise UserError(f"{option} is for a csv, and this is not one: {printable(source)}")
    if source is None:
        return Emoji()
    if shards or os.path.isdir(source):
        return open_shards(source) if shards else open_folder(source)
    raise UserError(f"{printable(source)} is no csv, folder or shard: there is no such file")


def add_csv_options(parser):
    """Add the options of a command line that open_pairs takes for a csv."""
    parser.add_argument("--image-column", help="csv: the column of picture paths")
    parser.add_argument("--caption-column", help="csv: the column of captions")
    parser.add_argument("--separator", help="csv: the separator")
