"""Pairs of pictures and captions: the embedded emoji, a csv, a folder, shards (CLIP, 2.2)."""

import os

from miniclip.common import UserError
from miniclip.data.dataset import BadPicture, Pairs, printable, report_skipped
from miniclip.data.emoji.dataset import Emoji
from miniclip.data.files import open_csv, open_folder
from miniclip.data.shards.dataset import is_shards, open_shards

__all__ = ["BadPicture", "Pairs", "open_pairs", "report_skipped"]


def open_pairs(source=None, image_column=None, caption_column=None, separator=None):
    """Pairs from a source: None is the embedded emoji, else the path of a csv, a folder or shards.

    The three options are for a csv whose header is not understood by itself. Raises UserError when
    there is no such source, or no pair in it.
    """
    options = dict(image_column=image_column, caption_column=caption_column, separator=separator)
    given = [f"--{k.replace('_', '-')}" for k, v in options.items() if v is not None]
    source = None if source is None else os.fspath(source)
    shards = source is not None and is_shards(source)
    if source is not None and os.path.isfile(source) and not shards:
        return open_csv(source, **options)
    if given:
        raise UserError(f"{given[0]} is for a csv, and this is not one: {printable(source)}")
    if source is None:
        return Emoji()
    if shards:
        return open_shards(source)
    if os.path.isdir(source):
        return open_folder(source)
    raise UserError(f"{printable(source)} is no csv, folder or shard: there is no such file")
