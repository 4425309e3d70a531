"""Make the index of a folder of pictures, or bring it up to date: python -m miniclip.search index

Every picture in the folder and below is in it, whether it has a caption or not. A picture whose size
and time of change are those of the index is not read again, and one that was renamed is recognised by
these and by a hash of its file. One that is gone is forgotten, but not where the folder around it
may not be read. About every PART_SECONDS what is finished is written, so that a killed process loses
no more than that.
A link to a file is followed, a link to a folder is not, because it may lead back into itself. What
starts with a dot is passed over. Left out: a change that keeps both size and time.
"""

import collections
import hashlib
import os
import stat
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from miniclip.common import UserError, command, path
from miniclip.data import image_io
from miniclip.data.dataset import printable, report_skipped
from miniclip.search.encode import MACHINE, MODEL, encode_pictures, open_encoder, parser_of
from miniclip.search.index import FILE, OLD, OURS, Index, database_in, place_of

PART_SECONDS = 10
HIDDEN = ("a folder that may not be read", "permission denied")  # pictures may be there still
OPTIONS = {
    "folder": dict(metavar="DIR", type=path(), help="pictures in it and below"),
    **MODEL,
    "--index": dict(
        metavar="PATH", type=path(), help="folder for the index (default: DIR/.miniclip)"
    ),
    **MACHINE,
}


def scan(folder):
    """The pictures in a folder and below, by their names: ({relative path with /: (bytes,
    nanoseconds of the last change)} in order, [(relative path, reason)] of what is no picture).

    Raises UserError when `folder` cannot be listed.
    """
    folder, found, skipped = os.path.abspath(folder), {}, []
    waiting = [(folder, "")]
    while waiting:
        at, prefix = waiting.pop()
        try:
            with os.scandir(at) as entries:
                entries = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            if at == folder:
                raise UserError(f"{printable(folder)} cannot be read: {error.strerror}") from None
            skipped.append((prefix[:-1], HIDDEN[0]))
            continue
        for entry in entries:
            name = prefix + entry.name
            if entry.name[0] == "." or entry.name in OURS:
                continue
            try:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((entry.path, name + "/"))
                    continue
                found[name] = _stamp(entry)
            except OSError as error:
                skipped.append((name, error.strerror.lower()))
    return dict(sorted(found.items())), skipped


def _stamp(entry):
    """(bytes, nanoseconds of the last change) of a picture; OSError says why it is none."""
    status = entry.stat()
    reasons = {
        "a link to a folder": stat.S_ISDIR(status.st_mode),
        "not a picture by its name": Path(entry.name).suffix.lower() not in image_io.SUFFIXES,
        "not a file": not stat.S_ISREG(status.st_mode),
    }
    for reason, holds in reasons.items():
        if holds:
            raise OSError(0, reason)
    return status.st_size, min(max(status.st_mtime_ns, -(2**63)), 2**63 - 1)  # as SQLite has it


def build(folder, place, encoder):
    """Make or update the index of `folder` in the folder `place`: (Index, {"read", "kept",
    "forgotten": numbers of pictures}, [(path, reason)] of what was skipped).

    Raises UserError when there is no picture, when the index is another model's or another
    folder's, when another process is writing it, or when it cannot be written, and OSError when
    `place` cannot be made.
    """
    folder, place = (Path(os.path.abspath(path)) for path in (folder, place))
    found, skipped = scan(folder)
    if not found:
        raise UserError(f"{printable(folder)} holds no picture{_because(skipped)}")
    place.mkdir(parents=True, exist_ok=True)
    with database_in(place, write=True) as database:
        return _update(folder, place, encoder, found, skipped, database)


def _update(folder, place, encoder, found, skipped, database):
    """`build`, when nobody else writes the index."""
    about = dict(
        digest=encoder.digest,
        file=encoder.file,
        activation=encoder.model.config["activation"],
        root=folder,
    )
    before, known, ids, row_of = Index.open(place, required=False), {}, {}, {}
    if before:
        before.must_be_of(encoder, place)
        moved = not before.root.is_dir() and (  # at least half of it is in the new place
            len(found.items() & zip(before.paths, before.stamps())) >= len(before) / 2
        )
        if before.root.resolve() != folder.resolve() and not moved:
            raise UserError(
                f"{printable(place)} holds the index of {printable(before.root)}; choose another "
                "folder with --index"
            )
        if before.ids is None:  # it was read from a file of version 0.1
            before.save(database, place)
            (place / OLD).unlink()
            before = Index.open(place)
        known, ids = (dict(zip(before.paths, x)) for x in (before.stamps(), before.ids.tolist()))
        hidden = tuple(f"{name}/" for name, reason in skipped if reason in HIDDEN)
        found |= {name: known[name] for name in known if f"{name}/".startswith(hidden)}
        row_of = {  # of pictures that are no longer what or where they were
            stamp: row
            for row, (name, stamp) in enumerate(known.items())
            if found.get(name) != stamp
        }
    hashes = {
        name: contents_hash(folder / name)
        for name, stamp in found.items()
        if known.get(name) != stamp and stamp in row_of
    }
    renamed = {  # {new name: row of the same picture}
        name: row_of[found[name]]
        for name, contents in hashes.items()
        if contents and contents == before.hashes[row_of[found[name]]]
    }
    names, unreadable, began = [*renamed], [], time.monotonic()
    features = [before.features[[*renamed.values()]]] if renamed else []

    def write_part(finished=False, gone=()):
        nonlocal began
        stamps = np.array([found[name] for name in names], np.int64).reshape(-1, 2)
        with ThreadPoolExecutor() as pool:
            contents = pool.map(lambda n: hashes.get(n) or contents_hash(folder / n), names)
        encoded = np.concatenate(
            [np.zeros((0, encoder.model.config["embed_dim"]), "f2"), *features]
        )
        replaced = [ids.pop(name) for name in names if name in ids]
        columns = [*names], encoded, *stamps.T, np.array([*contents], object)
        Index(*columns, **about, finished=finished).save(database, place, [*replaced, *gone])
        began = time.monotonic()
        names.clear(), features.clear()

    to_read = [n for n, stamp in found.items() if known.get(n) != stamp and n not in renamed]
    try:
        for good, encoded, bad in encode_pictures(encoder, read_from(folder), to_read):
            names.extend(good)
            features.append(encoded.half().numpy())
            unreadable.extend(bad)
            if time.monotonic() - began >= PART_SECONDS:
                write_part()
    finally:  # after Ctrl-C too
        if names:
            write_part()
    skipped = skipped + unreadable
    counts = {"read": len(to_read) - len(unreadable), "kept": len(found) - len(to_read)}
    if not any(counts.values()):
        raise UserError(f"no picture in {printable(folder)} can be read{_because(skipped)}")
    gone = [id for name, id in ids.items() if known[name] != found.get(name)]
    same = before and (before.finished, before.file, before.root) == (True, encoder.file, folder)
    if not same or gone or renamed or counts["read"]:
        write_part(finished=True, gone=gone)
    moved = {before.paths[row] for row in renamed.values()}
    counts["forgotten"] = len(known.keys() - found.keys() - moved)
    return Index.open(place), counts, skipped


def contents_hash(path):
    """A hash of a file, bytes; None where it cannot be read."""
    digest = hashlib.blake2b(digest_size=16)
    try:
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
        return digest.digest()
    except OSError:
        return None


def read_from(folder):
    """-> a function from a relative path of `scan` to the picture, PIL. It raises BadPicture."""
    return lambda path: image_io.read(os.path.join(folder, path))


def _because(skipped):
    return f": {report_skipped(skipped)}" if skipped else ""


def count_skipped(skipped):
    """How many were skipped for which reason, the most frequent first: "3 damaged, 1 not a file"."""
    kinds = collections.Counter(_kind(reason) for _, reason in skipped).most_common()
    return ", ".join(f"{count:,} {printable(kind)}" for kind, count in kinds)


def _kind(reason):
    """A reason without what differs from picture to picture."""
    head, _, tail = reason.partition(": ")
    return tail if tail and head != "damaged" else head


@command("python -m miniclip.search index")
def main(argv=None):
    """The command: make or update an index, and say what is in it. Returns the exit code."""
    what = "Make the index of a folder of pictures, or bring it up to date."
    args, began = parser_of("index", what, OPTIONS).parse_args(argv), time.monotonic()
    place = place_of(args.folder, args.index)
    if not args.checkpoint:
        index = Index.open(place)
        args.checkpoint, args.activation = index.model_file(place), index.activation
    encoder = open_encoder(args.checkpoint, args, args.activation)
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
    if skipped:
        print(f"skipped: {count_skipped(skipped)}; {report_skipped(skipped)}")
    return 0
