"""Make the index of a folder of pictures, or bring it up to date: python -m miniclip.search index

Every picture in the folder and below is in it, whether it has a caption or not. A picture whose size
and time of change are those of the index is not read again; one that is gone is forgotten. About
every PART_SECONDS what is finished is written, so that a killed process loses no more than that.
A link to a file is followed, a link to a folder is not, because it may lead back into itself. What
starts with a dot is passed over. Left out: a change that keeps both size and time.
"""

import collections
import contextlib
import os
import stat
import sys
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from miniclip.common import Parser, UserError, command
from miniclip.data import image_io
from miniclip.data.dataset import printable, report_skipped
from miniclip.search.encode import add_model_options, add_options, encode_pictures, open_encoder
from miniclip.search.index import FILE, PARTS, Index, place_of

PART_SECONDS = 10


def scan(folder, leave_out=None):
    """The pictures in a folder and below, by their names: ({relative path with /: (bytes,
    nanoseconds of the last change)} in order, [(relative path, reason)] of what is no picture).

    leave_out: a folder that is not entered. Raises UserError when `folder` cannot be listed.
    """
    folder, found, skipped = os.path.abspath(folder), {}, []

    def closed(error):
        if error.filename == folder:
            raise UserError(f"{printable(folder)} cannot be read: {error.strerror}")
        skipped.append((os.path.relpath(error.filename, folder), "a folder that may not be read"))

    for at, folders, names in os.walk(folder, onerror=closed):
        prefix = "" if at == folder else os.path.relpath(at, folder).replace(os.sep, "/") + "/"
        shown = sorted(f for f in folders if f[0] != "." and os.path.join(at, f) != str(leave_out))
        folders[:] = [f for f in shown if not os.path.islink(os.path.join(at, f))]
        skipped += [(prefix + f, "a link to a folder") for f in shown if f not in folders]
        for name in sorted(n for n in names if n[0] != "."):
            if os.path.splitext(name)[1].lower() not in image_io.SUFFIXES:
                skipped.append((prefix + name, "not a picture by its name"))
                continue
            try:
                status = os.stat(os.path.join(at, name))
            except OSError as error:
                skipped.append((prefix + name, error.strerror.lower()))
                continue
            if stat.S_ISREG(status.st_mode):
                found[prefix + name] = (status.st_size, status.st_mtime_ns)
            else:
                skipped.append((prefix + name, "not a file"))
    return dict(sorted(found.items())), skipped


def build(folder, place, encoder):
    """Make or update the index of `folder` in the folder `place`: (Index, {"read", "kept",
    "forgotten": numbers of pictures}, [(path, reason)] of what was skipped).

    Raises UserError when there is no picture, when the index is another model's or another
    folder's, when another process is writing it, or when `place` cannot be written.
    """
    folder, place = (Path(os.path.abspath(path)) for path in (folder, place))
    found, skipped = scan(folder, leave_out=place)
    if not found:
        raise UserError(f"{printable(folder)} holds no picture{_because(skipped)}")
    try:
        place.mkdir(parents=True, exist_ok=True)
        with _alone(place):
            return _update(folder, place, encoder, found, skipped)
    except OSError as error:
        raise UserError(
            f"{printable(error.filename or place)} cannot be written: {error.strerror}; "
            "choose another folder for the index with --index"
        ) from None


def _update(folder, place, encoder, found, skipped):
    """`build`, when nobody else writes the index. Raises OSError as well."""
    known, moved = {}, False  # known: {path: (bytes, nanoseconds)} of what was read before
    if (place / FILE).exists() or any(place.glob(PARTS)):
        before = Index.open(place, encoder.digest, encoder.file)
        known, moved = before.status(), before.root.resolve() != folder.resolve()
        if moved and before.root.is_dir():
            raise UserError(
                f"{printable(place)} holds the index of {printable(before.root)}; choose another "
                "folder with --index"
            )
    about = dict(
        digest=encoder.digest,
        file=encoder.file,
        activation=encoder.model.config["activation"],
        root=folder,
    )
    new, count = [path for path in found if known.get(path) != found[path]], 0
    names, features, began = [], [], time.monotonic()  # of what is in no file yet

    def write_part():
        nonlocal count, began
        if names:
            sizes, mtimes = np.array([found[path] for path in names], np.int64).T
            part = Index(names, np.concatenate(features), sizes, mtimes, **about)
            last = max(
                (int(path.stem.removeprefix("part-")) for path in place.glob(PARTS)), default=0
            )
            part.write(place / PARTS.replace("*", f"{last + 1:06d}"))
        count, began = count + len(names), time.monotonic()
        names.clear(), features.clear()

    with tqdm(total=len(new), desc="reading pictures", unit="", disable=None) as bar:
        for good, encoded, bad in encode_pictures(encoder, read_from(folder), new):
            names.extend(good)
            features.append(encoded.half().numpy())
            skipped.extend(bad)
            bar.update(len(good) + len(bad))
            if time.monotonic() - began >= PART_SECONDS:
                write_part()
    write_part()
    kept = len(found) - len(new)
    if not count + kept:
        raise UserError(f"no picture in {printable(folder)} can be read{_because(skipped)}")
    index = Index.open(place, encoder.digest, encoder.file)
    status = index.status()
    rows = [row for row, path in enumerate(index.paths) if found.get(path) == status[path]]
    if not index.finished or len(rows) < len(index) or moved or index.file != encoder.file:
        rows.sort(key=index.paths.__getitem__)
        index = index.select(rows, **about, finished=True)
        index.write(place / FILE)
    for old in (*place.glob(PARTS), *place.glob(".*.tmp")):  # .tmp: left by a killed process
        old.unlink()
    gone = sum(path not in found for path in known)
    return index, {"read": count, "kept": kept, "forgotten": gone}, skipped


def read_from(folder):
    """-> a function from a relative path of `scan` to the picture, PIL. It raises BadPicture."""
    return lambda path: image_io.read(os.path.join(folder, path))


@contextlib.contextmanager
def _alone(place):
    """Hold the lock of an index, which ends with the process. UserError while another holds it."""
    try:
        import fcntl
    except ImportError:  # Windows: no lock
        yield
        return
    with open(place / "lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another process is writing {printable(place)}") from None
        except OSError:  # a file system without locks
            pass
        yield


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
    parser = Parser(
        prog="python -m miniclip.search index",
        description="Make the index of a folder of pictures, or bring it up to date.",
    )
    parser.add_argument("folder", metavar="DIR", help="pictures in it and below")
    add_model_options(parser)
    parser.add_argument(
        "--index", metavar="PATH", help="folder for the index (default: DIR/.miniclip)"
    )
    add_options(parser)
    args = parser.parse_args(argv)
    began, place = time.monotonic(), place_of(args.folder, args.index)
    encoder = open_encoder(args.checkpoint, args, args.activation)
    index, counts, skipped = build(args.folder, place, encoder)
    size = (place / FILE).stat().st_size / 1e6
    print(
        f"{len(index):,} pictures in {printable(place)} ({size:,.1f} MB): {counts['read']:,} read, "
        f"{counts['kept']:,} unchanged, {counts['forgotten']:,} forgotten, in "
        f"{time.monotonic() - began:.1f} s"
    )
    if skipped:
        print(f"skipped: {count_skipped(skipped)}; {report_skipped(skipped)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
