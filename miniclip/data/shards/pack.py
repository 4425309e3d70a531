"""Pack pairs into webdataset shards: python -m miniclip.data pack pairs.csv out/

Many small files are slow to list, to copy and to read in random order; a few tars are not. A JPEG,
PNG or WebP is stored unchanged, byte for byte, and any other picture as a PNG of its first frame.
The first caption is the .txt, which other readers of this layout take. All captions are in the
.json, under "captions". Every picture is decoded once, so that a damaged one is left out and named.

The shards get their names only when all of them are complete, so shards of two sets are never
mixed unless the command is killed at that moment. The same pairs give the same bytes.
Left out: the splits of the source, because pairs that are read from shards are held out by the
hashes of their keys.
"""

import contextlib
import io
import itertools
import json
import os
import re
import shutil
import tarfile
import tempfile
from pathlib import Path

from tqdm import tqdm

from miniclip.common import (
    check_new,
    checked,
    command,
    given,
    locked,
    number,
    path,
    refuse,
    remove_leftovers,
    replacing,
    shell_line,
    undisturbed,
)
from miniclip.data import SOURCE_FLAGS, open_pairs, report_skipped
from miniclip.data.dataset import (
    MOST_TEXT_BYTES,
    BadPicture,
    Pairs,
    print_skipped,
    printable,
)
from miniclip.data.files import Files
from miniclip.data.image_io import MOST_PICTURE_BYTES
from miniclip.data.shards.shards import Shards

PAIRS_PER_SHARD = 10_000  # as in img2dataset
KINDS = re.compile(
    rb"(?P<jpg>\xff\xd8\xff)|(?P<png>\x89PNG\r\n\x1a\n)|(?P<webp>RIFF....WEBP)", re.DOTALL
)

OPTIONS = {
    "data": dict(type=path(str), help="emoji, icons, pairs.csv, a folder or shards"),
    "out": dict(type=path(), help="folder in which to write 00000.tar, 00001.tar, ..."),
    "--shard-size": dict(
        type=number(int, low=1), default=PAIRS_PER_SHARD, help="pairs in a shard (10,000)"
    ),
    "--overwrite": dict(action="store_true", help="replace shards that exist"),
    **SOURCE_FLAGS,
}


@checked
def pack(pairs: Pairs, out: str | Path, size: int = PAIRS_PER_SHARD, overwrite: bool = False):
    """Write pairs into the folder `out`, as 00000.tar and so on, with `size` pairs in each.

    overwrite: whether to replace shards that have the names of the new ones. Returns (paths of the
    shards, [(name, reason)] of the pictures left out). Raises UserError when `out` cannot be
    written, or when it holds shards that are not replaced.
    """
    refuse({f"a shard has at least 1 pair, not {size}": size < 1})
    out, skipped = Path(out), []
    paths = [out / f"{k:05d}.tar" for k in range(-(-len(pairs) // size))]
    read = {os.path.realpath(path) for path in pairs.paths}

    def check():
        other = sorted(path.name for path in {*out.glob("*.[tT][aA][rR]")} - {*paths})
        shown = f"{printable(out)} holds {printable(other[0])}" if other else ""
        refuse(
            {f"{shown}, which this command would not replace; choose another folder": bool(other)}
        )
        for shard in paths:
            why = f"{printable(shard)} is an input of this command; choose another folder"
            refuse({why: os.path.realpath(shard) in read})
            check_new(shard, overwrite)

    check()
    left = iter(tqdm(range(len(pairs)), desc="packing", unit="", disable=None))
    remove_leftovers(out)
    with tempfile.TemporaryDirectory(".tmp", f".miniclip-{os.getpid()}-", out) as folder:
        for shard in paths:
            with replacing(Path(folder, shard.name)) as file, tarfile.open(None, "w", file) as tar:
                for i in itertools.islice(left, size):
                    try:
                        for suffix, data in sample(pairs, i).items():
                            member = tarfile.TarInfo(f"{i:09d}.{suffix}")  # without a time
                            member.size = len(data)
                            tar.addfile(member, io.BytesIO(data))
                    except BadPicture as error:
                        skipped.append((pairs.where(i), str(error)))
        refuse({f"no picture can be read: {report_skipped(skipped)}": len(skipped) == len(pairs)})
        with undisturbed(), locked(out):
            check()  # again, because another process may have written shards meanwhile
            for shard in paths:
                with contextlib.suppress(OSError):  # as in `replacing`
                    shutil.copymode(shard, Path(folder, shard.name))
                os.replace(Path(folder, shard.name), shard)
    return paths, skipped


def sample(pairs, i):
    """The files of pair i, {suffix: bytes}: the picture ("jpg", "png" or "webp"), "txt" and "json".
    Raises BadPicture."""
    # the picture is decoded even if its file is copied, because this shows damage
    captions, image = pairs.captions(i), pairs.image(i)
    data = pairs.sources[i] if isinstance(pairs, Files) else None
    if isinstance(pairs, Shards):
        data = pairs.read(i, "picture")
    elif isinstance(data, str) and os.path.getsize(data) <= MOST_PICTURE_BYTES:
        data = Path(data).read_bytes()
    kind = isinstance(data, bytes) and KINDS.match(data)
    if not kind:
        file = io.BytesIO()
        image.save(file, "PNG")
        data = file.getvalue()
    says = {"caption": captions[0], "captions": list(captions), "name": pairs.where(i)}
    # a name may have bytes that are no UTF-8
    text = json.dumps(says, ensure_ascii=False).encode(errors="backslashreplace")
    refuse(  # Shards would not read it
        {
            f"its file has more than {MOST_PICTURE_BYTES >> 20} MiB": (
                len(data) > MOST_PICTURE_BYTES
            ),
            f"its captions take more than {MOST_TEXT_BYTES >> 20} MiB": len(text) > MOST_TEXT_BYTES,
        },
        BadPicture,
    )
    return {
        kind.lastgroup if kind else "png": data,
        "txt": captions[0].encode(),
        "json": text,
    }


@command("python -m miniclip.data pack", "Write pairs as shards.", OPTIONS)
def main(data, out, shard_size, overwrite, **source):
    """The command: write the shards, and print what was left out. source: SOURCE_FLAGS."""
    check_new(out / "00000.tar", overwrite)  # before time is spent on opening the pairs
    pairs = open_pairs(data, **source)
    paths, skipped = pack(pairs, out, shard_size, overwrite)
    print(
        f"{len(pairs) - len(skipped):,} pairs in {len(paths):,} shards, without the splits of "
        f"{printable(pairs.name)}; "
        f"train on them with {shell_line(given('--data', out / '*.tar'))}"
    )
    print_skipped(pairs.skipped + skipped)
