"""Pack pairs into webdataset shards: python -m miniclip.data pack [pairs.csv | folder] out/

Many small files are slow to list, to copy and to read in random order; a few tars are none of it. A
picture that is a JPEG, PNG or WebP goes in as it is, byte for byte, any other as a PNG of what was
seen. The first caption is the .txt, which is what other readers of this layout take; all of them
are "captions" in the .json. Every picture is decoded once, so that the shards are sound.

A shard is complete or not there. The same pairs give the same bytes, so packing again after an
interruption does no harm. Left out: the splits of the source; shards are held out by their keys.
"""

import io
import json
import os
from pathlib import Path

from tqdm import tqdm

from miniclip.common import Parser, UserError, number, replacing
from miniclip.data import BadPicture, image_io, open_pairs, report_skipped
from miniclip.data.dataset import printable
from miniclip.data.files import Files
from miniclip.data.shards.dataset import Shards
from miniclip.data.shards.index import MOST_PICTURE_BYTES, MOST_TEXT_BYTES

PAIRS_PER_SHARD = 10_000  # img2dataset's
MAGIC = {b"\xff\xd8\xff": "jpg", b"\x89PNG\r\n\x1a\n": "png"}


def pack(pairs, out, size=PAIRS_PER_SHARD):
    """Write pairs into `out`/00000.tar and so on, `size` a shard: (paths, [(name, reason)]).

    Raises UserError when webdataset is not installed or `out` holds other shards, OSError when
    they cannot be written.
    """
    try:
        from webdataset import TarWriter
    except ImportError:
        raise UserError("writing shards needs: pip install webdataset") from None
    out, skipped = Path(out), []
    paths = [out / f"{k:05d}.tar" for k in range(-(-len(pairs) // size))]
    if other := sorted({*out.glob("*.tar")} - {*paths}):
        raise UserError(
            f"{printable(out)} holds {printable(other[0].name)}, which is none of these shards; "
            "choose another folder"
        )
    out.mkdir(parents=True, exist_ok=True)
    bar = tqdm(total=len(pairs), desc="packing", unit="", disable=None)
    for k, path in enumerate(paths):
        with replacing(path) as file:
            with TarWriter(file, mtime=0, encoder=False) as tar:  # the same bytes at any time
                for i in range(k * size, min((k + 1) * size, len(pairs))):
                    try:
                        tar.write(sample(pairs, i))
                    except BadPicture as error:
                        skipped.append((pairs.where(i), str(error)))
                    bar.update()
    bar.close()
    return paths, skipped


def sample(pairs, i):
    """Pair i as webdataset writes it: {"__key__", "jpg" or "png" or "webp", "txt", "json"}.

    Raises BadPicture.
    """
    captions = pairs.captions(i)
    suffix, data = encoded(pairs, i)
    says = {"caption": captions[0], "captions": list(captions), "name": pairs.where(i)}
    own = {"txt": captions[0].encode(), "json": json.dumps(says).encode()}
    if max(map(len, own.values())) > MOST_TEXT_BYTES:
        raise BadPicture("its captions are longer than 1 MiB")
    return {"__key__": f"{i:09d}", suffix: data, **own}


def encoded(pairs, i):
    """Picture i as a file: ("jpg", "png" or "webp", its bytes). Raises BadPicture."""
    data = _original(pairs, i)
    suffix = next((suffix for magic, suffix in MAGIC.items() if data.startswith(magic)), None)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        suffix = "webp"
    if suffix and len(data) <= MOST_PICTURE_BYTES:
        image_io.read(io.BytesIO(data))  # to know that it can be
        return suffix, data
    image, file = pairs.image(i), io.BytesIO()
    image.save(file, "PNG")
    if file.tell() > MOST_PICTURE_BYTES:
        raise BadPicture(f"more than {MOST_PICTURE_BYTES >> 20} MiB")
    return "png", file.getvalue()


def _original(pairs, i):
    """The bytes of picture i's own file, b'' where it has none; cut where they are too many."""
    if isinstance(pairs, Shards):
        return pairs.read(i, "picture")
    if not isinstance(pairs, Files):
        return b""
    try:
        with open(pairs.paths[i], "rb") as file:
            return file.read(MOST_PICTURE_BYTES + 1)
    except OSError as error:
        raise BadPicture(f"cannot be read: {error.strerror}") from None


def main(argv=None):
    """The command: write the shards and say what was left out. Returns the exit code."""
    parser = Parser(prog="python -m miniclip.data pack", description="Write pairs as shards.")
    parser.add_argument("data", nargs="?", help="pairs.csv, a folder or shards (default: emoji)")
    parser.add_argument("out", help="folder for 00000.tar, 00001.tar, ...")
    parser.add_argument("--shard-size", type=number(int, low=1), default=PAIRS_PER_SHARD,
                        help="pairs in a shard (10,000)")  # fmt: skip
    parser.add_argument("--image-column", help="csv: the column of picture paths")
    parser.add_argument("--caption-column", help="csv: the column of captions")
    parser.add_argument("--separator", help="csv: the separator")
    args = parser.parse_args(argv)
    try:
        if args.data and os.path.realpath(args.data) == os.path.realpath(args.out):
            raise UserError(f"{printable(args.out)} cannot be packed into itself")
        pairs = open_pairs(args.data, args.image_column, args.caption_column, args.separator)
        paths, skipped = pack(pairs, args.out, args.shard_size)
    except UserError as error:
        parser.error(str(error))
    except OSError as error:
        parser.error(f"{printable(error.filename or args.out)} cannot be written: {error.strerror}")
    skipped = pairs.skipped + skipped
    size = sum(path.stat().st_size for path in paths)
    print(f"{len(pairs) - len(skipped) + len(pairs.skipped):,} pairs in {len(paths):,} shards, "
          f"{size / 2**20:,.1f} MiB; train on them with --data {args.out}")  # fmt: skip
    if skipped:
        print(report_skipped(skipped))
    return 0
