"""Make the index of a folder of pictures, or bring it up to date: python -m miniclip.search index

The index has every picture in the folder and in the folders below it, with or without a caption.
An index that is brought up to date keeps the features of most pictures:

- A picture whose size and time of change are still those in the index is not read again.
- A picture that was renamed, moved or copied is recognised by a hash of its file, and is not
  encoded again.
- A picture that is gone, or whose folder cannot be listed now, is removed from the index.

The finished part is written about every PART_SECONDS. So a process that is stopped or killed loses
only about so many seconds of work.
A link to a file is followed. A link to a folder is not, because it may lead back into itself. Names
that start with a dot are passed over. Left out: noticing a change that keeps both size and time.
"""

import contextlib
import hashlib
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from miniclip.common import checked, command, first_bytes, path, refuse
from miniclip.data import image_io
from miniclip.data.dataset import file_size, print_skipped, printable, report_skipped
from miniclip.search.database import FILE, FOLDER, Index, database_in, followed, index_in
from miniclip.search.embed import MACHINE, MODEL, Encoder, open_encoder, scan, stamp
from miniclip.zeroshot import encode_pictures

PART_SECONDS = 10
MOST_HASHED = 16 << 20  # bytes; a larger file has no hash, because a file may be as large as a disk
OPTIONS = {
    "folder": dict(
        metavar="DIR",
        type=path(),
        help="folder of the pictures; pictures in the folders below it count, too",
    ),
    **MODEL,
    "--index": dict(
        metavar="PATH", type=path(), help="folder for the index (default: DIR/.miniclip)"
    ),
    **MACHINE,
}


@checked
def build(folder: str | Path, place: str | Path, encoder: Encoder) -> tuple[Index, dict, list]:
    """Make or update the index of `folder` in the folder `place`. Returns (Index, counts, skipped).

    counts: the numbers of pictures that were "read", "kept" and "forgotten", as a dict. skipped:
    [(path, reason)] of the files that were left out. Raises OSError if `place` cannot be made, and
    UserError if

    - there is no picture;
    - the index in `place` belongs to another model or to another folder;
    - another process is writing the index, or it cannot be written.
    """
    folder, place = (Path(os.path.abspath(followed(path))) for path in (folder, place))
    found, skipped = scan(folder)
    refuse(
        {
            f"{printable(folder)} holds no picture: "
            f"{report_skipped(skipped) or 'it has no files, or only hidden files'}": not found
        }
    )
    place.mkdir(parents=True, exist_ok=True)
    with database_in(place, write=True) as database:
        return _update(folder, place, encoder, found, skipped, database)


def _update(folder, place, encoder, found, skipped, database):
    """`build`, while no other process can write the index. found, skipped: what `scan` returned."""
    config = encoder.model.config
    nothing = np.zeros((0, config["embed_dim"]), "f2")
    made = Index([], nothing, encoder.digest, encoder.file, config["activation"], folder, False)
    rows = database.execute("SELECT size, mtime, hash FROM pictures ORDER BY id").fetchall()
    others = "SELECT rowid FROM about UNION ALL SELECT first FROM blocks"
    before = index_in(database, place) if rows or database.execute(others).fetchone() else made
    before.must_be_of(encoder, made.digest)
    known = {name: row[:2] for name, row in zip(before.paths, rows)}
    has_moved = not before.root.is_dir() and len(found.items() & known.items()) >= len(known) / 2
    refuse(
        {
            f"{printable(place)} holds the index of {printable(before.root)}; choose another folder "
            "with --index": not has_moved
            and os.path.realpath(before.root) != os.path.realpath(folder)
        }
    )
    # {name of a picture: the row of the index where its features are already}
    row_of = {name: k for k, name in enumerate(before.paths) if found.get(name) == known[name]}
    hashes = {name: rows[k][2] for name, k in row_of.items()}
    sizes = {size for size, *_ in rows}
    # of several pictures with the same contents, one whose name is gone: it is the one that moved
    by_gone = sorted(range(len(rows)), key=lambda k: before.paths[k] not in found)
    row_of_hash = {rows[k][2]: k for k in by_gone if rows[k][2]}
    for name in [name for name in found if name not in row_of and found[name][0] in sizes]:
        hashes[name] = contents_hash(folder / name)
        if hashes[name] in row_of_hash:
            row_of[name] = row_of_hash[hashes[name]]
    to_read = [name for name in found if name not in row_of]

    def read(name):
        hashes[name] = contents_hash(folder / name)
        picture = image_io.read(folder / name)
        with contextlib.suppress(OSError):  # it is gone again
            if stamp(os.stat(folder / name)) == found[name]:
                return picture
        # it changed while the command ran: let the next run read it again
        found[name], hashes[name] = (-1, 0), None
        return picture

    def write(names, features, finished=False):
        features = np.concatenate([nothing, *features])
        index = replace(made, paths=names, features=features, finished=finished)
        index.save(database, place, [(*found[name], hashes[name]) for name in names])

    names, features, unreadable, began = [], [], [], time.monotonic()
    # a picture may also have the row of another one, after two files were exchanged, or a new time
    unchanged = [(name, k, known[name]) for k, name in enumerate(before.paths)]
    if [(name, k, found[name]) for name, k in row_of.items()] != unchanged:
        # until the first part is written, the index stays as it was
        for table in ("pictures", "blocks"):
            database.execute(f"DELETE FROM {table}")
        names, features = [*row_of], [before.features[[*row_of.values()]]]
    for good, encoded, bad in encode_pictures(encoder.model, read, to_read):
        names += good
        features.append(encoded.half().numpy())
        unreadable += bad
        if names and time.monotonic() - began >= PART_SECONDS:
            write(names, features)
            names, features, began = [], [], time.monotonic()
    skipped = skipped + unreadable
    refuse(
        {
            f"no picture in {printable(folder)} can be read; {report_skipped(skipped)}": (
                len(unreadable) == len(found)
            )
        }
    )
    if (
        names
        or database.total_changes
        or (before.finished, before.file, before.root) != (True, encoder.file, folder)
    ):
        write(names, features, finished=True)
    index, used = index_in(database, place), {before.paths[row] for row in row_of.values()}
    counts = {
        "read": len(index) - len(row_of),
        "kept": len(row_of),
        "forgotten": len(known.keys() - used - {*index.paths}),
    }
    return index, counts, skipped


def contents_hash(path: Path) -> bytes | None:
    """A hash of a file, or None if it cannot be read or has more than MOST_HASHED bytes."""
    try:
        file_size(path)  # raises for what is no file
        contents = first_bytes(path, MOST_HASHED + 1)
    except OSError:
        return None
    is_whole = len(contents) <= MOST_HASHED
    return hashlib.blake2b(contents, digest_size=16).digest() if is_whole else None


@command(
    "python -m miniclip.search index",
    "Make the index of a folder of pictures, or bring it up to date.",
    OPTIONS,
)
def main(folder, checkpoint, activation, index, device, threads):
    """The command: make or update an index, and say what is in it."""
    place = followed(index or folder / FOLDER)
    if not checkpoint:
        old = Index.open(place, write=True)
        checkpoint, activation = old.model_file(), activation or old.activation
    encoder = open_encoder(checkpoint, activation, device, threads)
    made, counts, skipped = build(folder, place, encoder)
    print(
        f"{len(made):,} pictures in {printable(place)} "
        f"({(place / FILE).stat().st_size / 1e6:,.1f} MB): {counts['read']:,} read, "
        f"{counts['kept']:,} unchanged, {counts['forgotten']:,} forgotten"
    )
    print_skipped(skipped)
