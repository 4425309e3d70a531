"""Make the index of a folder of pictures, or bring it up to date: python -m miniclip.search index

Every picture in the folder and below is in it, whether it has a caption or not. A picture whose size
and time of change are those of the index is not read again. One that was renamed, moved or copied is
recognised by a hash of its file, and is not encoded again. One that is gone is forgotten, unless the
folder around it may not be read now. About every PART_SECONDS the finished part is written, so that
a killed process loses no more than that.
A link to a file is followed. A link to a folder is not, because it may lead back into itself. Names
that start with a dot are passed over. Left out: a change that keeps both size and time.
"""

import hashlib
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
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
HASHED = 8 << 20  # bytes at the start and at the end of a file, which may be as large as a disk
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
    rows = database.execute("SELECT id, size, mtime, hash FROM pictures ORDER BY id").fetchall()
    before = Index.open(place) if rows else made
    before.must_be_of(encoder, place)
    known = {name: (size, mtime) for name, (_, size, mtime, _) in zip(before.paths, rows)}
    ids = {name: id for name, (id, *_) in zip(before.paths, rows)}
    half_is_here = len(found.items() & known.items()) >= len(before) / 2
    followed = half_is_here and not before.root.is_dir()
    if before.root.resolve() != folder.resolve() and not followed:
        raise UserError(
            f"{printable(place)} holds the index of {printable(before.root)}; choose another "
            "folder with --index"
        )
    hidden = tuple(f"{name}/" for name, reason in skipped if reason in HIDDEN)
    found |= {name: known[name] for name in known if f"{name}/".startswith(hidden)}
    changed = [name for name, stamp in found.items() if known.get(name) != stamp]
    hashes = {}  # {name: of its file}

    def hash_files(names):
        stamps = [found[name] for name in names]
        with ThreadPoolExecutor(8) as pool:
            hashes.update(zip(names, pool.map(contents_hash, map(folder.joinpath, names), stamps)))

    sizes = {size for size, _ in known.values()}
    hash_files([name for name in changed if found[name][0] in sizes])
    row_of = {digest: k for k, (*_, digest) in enumerate(rows) if digest}
    recognised = {name: row_of[d] for name, d in hashes.items() if d in row_of}

    def write(names, features, finished=False, gone=()):
        hash_files([name for name in names if name not in hashes])
        stamps = [found[name] for name in names]
        replaced = [ids.pop(name) for name in names if name in ids]
        features = np.concatenate([nothing, *features])
        index = replace(made, paths=names, features=features, finished=finished)
        index.save(database, place, stamps, [hashes[name] for name in names], [*replaced, *gone])

    names, unreadable, began = [*recognised], [], time.monotonic()
    features = [before.features[[*recognised.values()]]]
    to_read = [name for name in changed if name not in recognised]
    try:
        for good, encoded, bad in encode_pictures(encoder.model, read_from(folder), to_read):
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
    counts = {"read": len(to_read) - len(unreadable), "kept": len(found) - len(to_read)}
    if not any(counts.values()):
        raise UserError(f"no picture in {printable(folder)} can be read{_because(skipped)}")
    gone = {name: id for name, id in ids.items() if known[name] != found.get(name)}
    same = (before.finished, before.file, before.root) == (True, encoder.file, folder)
    if not same or gone or recognised or counts["read"]:
        write([], [], finished=True, gone=gone.values())
    old_names = {before.paths[row] for row in recognised.values()}
    counts["forgotten"] = len(gone.keys() - old_names)
    return Index.open(place), counts, skipped


def contents_hash(path: Path, stamp: tuple[int, int]) -> bytes | None:
    """A hash of a file, None where it cannot be read. stamp: its size and the time of its change.

    Above 2 * HASHED bytes the hash covers both ends of the file, and so the stamp as well.
    """
    digest = hashlib.blake2b(digest_size=16)
    if stamp[0] > 2 * HASHED:
        digest.update(b"%d %d" % stamp)
    try:
        with open(path, "rb") as file:
            for start in (0, max(HASHED, stamp[0] - HASHED)):
                file.seek(start)
                digest.update(file.read(HASHED))
    except OSError:
        return None
    return digest.digest()


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
