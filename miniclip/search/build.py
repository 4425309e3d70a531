"""Make the index of a folder of pictures, or bring it up to date: python -m miniclip.search index

Every picture in the folder and below is in it, whether it has a caption or not. A picture whose size
and time of change are those of the index is not read again. One that is gone is forgotten, unless the
folder around it may not be read now. About every PART_SECONDS the finished part is written, so that
a killed process loses no more than that.
A link to a file is followed. A link to a folder is not, because it may lead back into itself. Names
that start with a dot are passed over. Left out: a change that keeps both size and time, and
recognising a picture that was moved or renamed, which is encoded again.
"""

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from miniclip.common import Parser, UserError, command, path
from miniclip.data import report_skipped
from miniclip.data.dataset import printable
from miniclip.search.database import FILE, FOLDER, Index, database_in, followed
from miniclip.search.embed import (
    HIDDEN,
    MACHINE,
    MODEL,
    Encoder,
    open_encoder,
    print_skipped,
    read_from,
    scan,
)
from miniclip.zeroshot import encode_pictures

PART_SECONDS = 10
OPTIONS = {
    "folder": dict(metavar="DIR", type=path(), help="pictures in it and below"),
    **MODEL,
    "--index": dict(
        metavar="PATH", type=path(), help="folder for the index (default: DIR/.miniclip)"
    ),
    **MACHINE,
}


def build(folder: Path, place: Path, encoder: Encoder) -> tuple[Index, dict, list]:
    """Make or update the index of `folder` in the folder `place`: (Index, {"read", "kept",
    "forgotten": numbers of pictures}, [(path, reason)] of what was skipped).

    Raises UserError when there is no picture, when the index is another model's or another
    folder's, when another process is writing it, or when it cannot be written, and OSError when
    `place` cannot be made.
    """
    folder, place = (Path(os.path.abspath(followed(path))) for path in (folder, place))
    found, skipped = scan(folder)
    if not found:
        raise UserError(f"{printable(folder)} holds no picture{_because(skipped)}")
    place.mkdir(parents=True, exist_ok=True)
    with database_in(place, write=True) as database:
        return _update(folder, place, encoder, found, skipped, database)


def _update(folder, place, encoder, found, skipped, database):
    """`build`, when nobody else writes the index."""
    config = encoder.model.config
    nothing = np.zeros((0, config["embed_dim"]), "f2")
    made = Index([], nothing, encoder.digest, encoder.file, config["activation"], folder, False)
    rows = database.execute("SELECT id, size, mtime FROM pictures ORDER BY id").fetchall()
    before = Index.open(place) if rows else made
    before.must_be_of(encoder, place)
    known = {name: tuple(stamp) for name, (_, *stamp) in zip(before.paths, rows)}
    ids = {name: id for name, (id, *_) in zip(before.paths, rows)}
    if before.root.resolve() != folder.resolve():
        raise UserError(
            f"{printable(place)} holds the index of {printable(before.root)}; choose another "
            "folder with --index"
        )
    hidden = tuple(f"{name}/" for name, reason in skipped if reason in HIDDEN)
    found |= {name: known[name] for name in known if f"{name}/".startswith(hidden)}
    changed = [name for name, stamp in found.items() if known.get(name) != stamp]

    def write(names, features, finished=False, gone=()):
        stamps = [found[name] for name in names]
        replaced = [ids.pop(name) for name in names if name in ids]
        features = np.concatenate([nothing, *features])
        index = replace(made, paths=names, features=features, finished=finished)
        index.save(database, place, stamps, [*replaced, *gone])

    names, features, unreadable, began = [], [], [], time.monotonic()
    try:
        for good, encoded, bad in encode_pictures(encoder.model, read_from(folder), changed):
            names += good
            features.append(encoded.half().numpy())
            unreadable += bad
            if time.monotonic() - began >= PART_SECONDS:
                part, names, features = (names, features), [], []  # nothing is written twice
                write(*part)
                began = time.monotonic()
    finally:  # after Ctrl-C too
        if names:
            write(names, features)
    skipped = skipped + unreadable
    counts = {"read": len(changed) - len(unreadable), "kept": len(found) - len(changed)}
    if not any(counts.values()):
        raise UserError(f"no picture in {printable(folder)} can be read{_because(skipped)}")
    gone = {name: id for name, id in ids.items() if known[name] != found.get(name)}
    same = (before.finished, before.file, before.root) == (True, encoder.file, folder)
    if not same or gone or counts["read"]:
        write([], [], finished=True, gone=gone.values())
    return Index.open(place), counts | {"forgotten": len(gone)}, skipped


def _because(skipped):
    return f": {report_skipped(skipped)}" if skipped else ""


@command("python -m miniclip.search index")
def main(argv=None):
    """The command: make or update an index, and say what is in it. Returns the exit code."""
    what = "Make the index of a folder of pictures, or bring it up to date."
    args, began = (
        Parser.of("python -m miniclip.search index", what, OPTIONS).parse_args(argv),
        time.monotonic(),
    )
    place = followed(args.index or args.folder / FOLDER)
    if not args.checkpoint:
        if os.path.exists(place / FILE):
            with database_in(place, write=True):
                pass  # what a killed process has left undone is undone
        index = Index.open(place)
        args.checkpoint = index.model_file(place)
        args.activation = args.activation or index.activation
    encoder = open_encoder(args.checkpoint, args.activation, args.device, args.threads)
    try:
        encoder.tokenizer([""])
    except UserError as error:
        print(f"this index can be searched by pictures only: {error}", file=sys.stderr)
    index, counts, skipped = build(args.folder, place, encoder)
    print(
        f"{len(index):,} pictures in {printable(place)} "
        f"({(place / FILE).stat().st_size / 1e6:,.1f} MB): {counts['read']:,} read, "
        f"{counts['kept']:,} unchanged, {counts['forgotten']:,} forgotten, in "
        f"{time.monotonic() - began:.1f} s"
    )
    print_skipped(skipped)
    return 0
