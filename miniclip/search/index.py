"""An index: the features of a folder's pictures in a SQLite database, and the exact search in it.

It is the file index.sqlite in a folder of its own, DIR/.miniclip or one that is named. The table
`pictures` has one row per picture. The features of at most BLOCK_ROWS pictures are one blob of the
table `blocks`, because one row per embedding takes three times as long to read. A block belongs to the
pictures from the id `first` on, and a checksum covers both. SQLite's locks let one process write while
others read.

A folder of pictures may come from a stranger, and its index with it. So nothing in the file is
believed before it is checked, and no link is followed inside of the index's folder. Version 0.1 wrote
index.npz, which is read too, and which `index` converts.
Every query is compared with every picture: a million take 0.14 s of one core (docs/search.md). Left
out: approximate search, and pictures on other machines.
"""

import contextlib
import itertools
import json
import os
import re
import sqlite3
import stat
import tokenize
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from miniclip.common import UserError
from miniclip.data.dataset import printable
from miniclip.weights import files

FOLDER, FILE, OLD = ".miniclip", "index.sqlite", "index.npz"
OURS = (FILE, OLD, FILE + "-journal")  # the last is SQLite's, while a process writes
BLOCK_ROWS = 1024
BLOCK = 1 << 20  # numbers in fp32 that a search holds at a time: 4 MiB stay in a cache
SCHEMA = [
    "CREATE TABLE about (json TEXT, crc INTEGER)",
    "CREATE TABLE pictures "
    "(id INTEGER PRIMARY KEY, path BLOB, size INTEGER, mtime INTEGER, hash BLOB)",
    "CREATE TABLE blocks (first INTEGER PRIMARY KEY, features BLOB, crc INTEGER)",
]
MARKS = {"application_id": 0x636C6970, "user_version": 2}  # index.npz was format 1
COLUMNS = ("features", "sizes", "mtimes", "hashes")
ABOUT = {"digest": str, "file": str, "activation": str, "root": str, "width": int, "finished": bool}
WAIT = "PRAGMA busy_timeout = 5000"  # ms for another process: a block is written, or an index read
OPENING = {  # what is said first in which mode; a second process that writes does not wait
    "ro": ["BEGIN", WAIT],
    "rw": ["BEGIN IMMEDIATE", WAIT],
    "rwc": ["PRAGMA page_size = 16384", "PRAGMA auto_vacuum = FULL", "BEGIN IMMEDIATE", WAIT],
}
REASONS = {  # what SQLite says: what it means here
    "database is locked": "another process is writing it",
    "attempt to write a readonly database": "the process that wrote it was killed, or it is "
    "protected; python -m miniclip.search index restores it where it may be written",
    "interrupted": "it holds more tables than an index",
    "unable to open database file": "no file can be made there; choose another folder with --index",
}
NAMES_ANOTHER_FILE = (
    b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"  # ends a journal that makes SQLite delete it
)
# in a list with NUL around each path: one that is empty, begins with / or leads out of the folder
OUTSIDE = (b"\0\0", b"\0/", b"/../", b"\0../", b"/..\0", b"\0..\0")
SCHEMA_STEPS = 10_000  # of SQLite's machine, in which it must have read the schema: ours takes 100
DAMAGED = (  # what reading a damaged file of SQLite, zip or numpy can raise
    *(sqlite3.Error, OSError, EOFError, ValueError, LookupError, TypeError, AttributeError),
    *(OverflowError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error),
    tokenize.TokenError,
)


@dataclass
class Index:
    """The features of N pictures in a folder, and where the pictures are."""

    paths: list  # N str, relative to root, with /
    features: np.ndarray  # (N, E) float16, rows of length one
    sizes: np.ndarray  # (N,) int64, bytes of each file
    mtimes: np.ndarray  # (N,) int64, nanoseconds, when each file was changed
    hashes: np.ndarray  # (N,) bytes objects, build.contents_hash; None where it is not known
    digest: str  # of the model, see features.model_digest
    file: str  # of the model, or the name of a released one
    activation: str  # of the model
    root: Path  # the folder of the pictures
    finished: bool = True  # False: the process that made it was killed, and some may be missing
    ids: np.ndarray = None  # (N,) of the rows in the database that it was read from

    def __len__(self):
        return len(self.paths)

    @classmethod
    def open(cls, place, required=True):
        """The index in the folder `place`, as a run that was killed left it too; None where there is
        none and none is required. Raises UserError."""
        place, index = Path(place), None
        _check_files(place)
        if os.path.lexists(place / FILE):
            with database_in(place) as database:
                index = _read(database, place)
        if not index and os.path.isfile(place / OLD):
            index = _read_npz(place / OLD)
        if not index and required:
            raise UserError(
                f"there is no index in {printable(place)}; make one with python -m miniclip.search "
                "index DIR --checkpoint FILE"
            )
        return index

    def must_be_of(self, encoder, place):
        """Raise UserError unless this index, in `place`, was made with the model of an Encoder."""
        width = encoder.model.config["embed_dim"]
        if (self.digest, self.features.shape[1]) != (encoder.digest, width):
            raise UserError(
                f"{printable(place)} was made with the model {printable(self.file)} "
                f"({self.digest[:12]}), not with {printable(encoder.file)} ({encoder.digest[:12]}); "
                "choose another folder with --index, or delete it"
            )

    def model_file(self, place):
        """The file of the model that made the index, or the name of a released one.

        Raises UserError when it is gone, or when it came with the pictures or with the index: then
        whoever sent them chose it.
        """
        model, place = os.path.realpath(files.find(self.file)), Path(os.path.abspath(place))
        theirs = (self.root, place.parent if place.name == FOLDER else place)
        if {Path(os.path.realpath(folder)) for folder in theirs} & {*Path(model).parents}:
            raise UserError(
                f"the model of this index, {printable(self.file)}, lies in the folder of the "
                "pictures, which may be a stranger's; give --checkpoint if you trust it"
            )
        if not os.path.exists(model):
            raise UserError(
                f"the model of this index is no longer in {printable(self.file)}; give --checkpoint"
            )
        return self.file

    def stamps(self):
        """(bytes, nanoseconds of the last change) of each row, when its picture was read."""
        return list(zip(self.sizes.tolist(), self.mtimes.tolist()))

    def save(self, database, place, dropped=()):
        """Append the rows to the database in `place`, remove the pictures with the ids `dropped` from
        it, and commit."""
        width, dropped = self.features.shape[1], set(dropped)
        query = "SELECT max(first) FROM blocks WHERE first <= ?"
        for first in {database.execute(query, (id,)).fetchone() for id in dropped}:
            [(blob,)] = database.execute("SELECT features FROM blocks WHERE first = ?", first)
            rows = database.execute(
                "SELECT * FROM pictures WHERE id >= ? ORDER BY id LIMIT ?",
                (*first, len(blob) // (2 * width)),
            ).fetchall()
            kept = [k for k, row in enumerate(rows) if row[0] not in dropped]
            features = np.frombuffer(blob, "f2").reshape(-1, width)[kept]
            database.execute("DELETE FROM blocks WHERE first = ?", first)
            _insert(database, features, [rows[k] for k in kept])
        database.executemany("DELETE FROM pictures WHERE id = ?", [(id,) for id in dropped])
        [(free,)] = database.execute("SELECT ifnull(max(id), 0) + 1 FROM pictures")
        names = [path.encode("utf-8", "surrogateescape") for path in self.paths]
        pictures = list(zip(itertools.count(free), names, *zip(*self.stamps()), self.hashes))
        database.executemany("INSERT INTO pictures VALUES (?, ?, ?, ?, ?)", pictures)
        for start in range(0, len(self), BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            _insert(database, self.features[rows], pictures[rows])
        place, root = (Path(os.path.abspath(path)) for path in (place, self.root))
        # an index inside the folder of the pictures may be moved together with it
        root = os.path.relpath(root, place) if root in place.parents else str(root)
        text = json.dumps({key: getattr(self, key, width) for key in ABOUT} | {"root": root})
        about = (text, zlib.crc32(text.encode()))
        database.execute("REPLACE INTO about (rowid, json, crc) VALUES (1, ?, ?)", about)
        database.execute("COMMIT")
        database.execute("BEGIN IMMEDIATE")

    def path(self, row):
        """The path of a row's picture, to be opened."""
        return self.root / self.paths[row]

    @torch.inference_mode()
    def find(self, query, k):
        """The k nearest rows: (cosines fp32, rows int64), both (k,) for a query (E,), (Q, k) for
        (Q, E); fewer where the index has fewer. Best first; the earlier row first where two tie.

        query: unit features, a tensor. Exact for the features in 16 bits, which are compared in
        32; memory for BLOCK numbers, whatever N is. Raises UserError for a query of another width,
        a negative k, and features that are no numbers.
        """
        rows, width = self.features.shape
        if query.shape[-1:] != (width,) or not query.isfinite().all() or k < 0:
            raise UserError(f"a query must be {width} finite numbers, and k at least 0")
        queries = query.detach().cpu().float().reshape(-1, width)
        best, where = torch.zeros(len(queries), 0), torch.zeros(len(queries), 0, dtype=torch.int64)
        step = max(1, BLOCK // (queries.shape[1] + 3 * len(queries)))
        for first in range(0, rows, step):
            block = torch.from_numpy(self.features[first : first + step]).float()
            here = torch.arange(first, first + len(block)).expand(len(queries), -1)
            best, order = torch.cat([best, queries @ block.T], 1).sort(
                dim=1, descending=True, stable=True
            )
            best = best[:, :k]
            where = torch.cat([where, here], 1).gather(1, order[:, :k])
        if not best.isfinite().all():  # NaN and infinity come first
            raise UserError("the index holds features that are no numbers; make it again")
        shape = (*query.shape[:-1], best.shape[1])
        return best.reshape(shape), where.reshape(shape)


def place_of(folder, index=None):
    """Where the index of a folder of pictures lies: `index`, if it is given, or its .miniclip."""
    return Path(index) if index else Path(folder) / FOLDER


@contextlib.contextmanager
def database_in(place, write=False):
    """`with database_in(place) as database:` the SQLite connection of the index in the folder
    `place`, with our schema and no other, inside a transaction that begins now.

    write: make it if it is not there; one process can do so at a time. Raises UserError.
    """
    _check_files(place)
    mode = ("rw" if os.path.exists(place / FILE) else "rwc") if write else "ro"
    address = f"{Path(os.path.abspath(place / FILE)).as_uri()}?mode={mode}"
    try:
        with contextlib.closing(
            sqlite3.connect(address, uri=True, isolation_level=None, timeout=0)
        ) as database:
            database.set_progress_handler(lambda: True, SCHEMA_STEPS)  # then it is interrupted
            for statement in ["PRAGMA trusted_schema = OFF", *OPENING[mode]]:
                database.execute(statement)
            queries = ("SELECT sql FROM sqlite_master LIMIT 9", *(f"PRAGMA {x}" for x in MARKS))
            found = [value for query in queries for (value,) in database.execute(query)]
            if write and not any(found):
                for statement in (*SCHEMA, *(f"PRAGMA {x} = {y}" for x, y in MARKS.items())):
                    database.execute(statement)
            elif any(found) and found != [*SCHEMA, *MARKS.values()]:
                raise UserError(f"{printable(place / FILE)} is no index that this version can read")
            database.set_progress_handler(None, 0)
            yield database
    except sqlite3.Error as error:
        reason, verb = REASONS.get(str(error), error), "written" if write else "read"
        raise UserError(f"{printable(place)} cannot be {verb}: {reason}") from None


def _check_files(place):
    """Raise UserError for a link or a special file that would be opened, and for one by which SQLite
    would touch others: a journal that names one to be deleted, or a write-ahead log."""
    strange = [place] if place.name == FOLDER and place.is_symlink() else []
    for name in (*OURS, FILE + "-wal", FILE + "-shm"):
        path = place / name
        with contextlib.suppress(FileNotFoundError):  # a journal comes and goes with each write
            status = os.lstat(path)
            ours = stat.S_ISREG(status.st_mode) and name in OURS
            if ours and name == FILE and status.st_size:
                with open(path, "rb") as file:
                    ours = file.read(8) == b"SQLite f"
            if ours and name == OURS[-1]:
                end = np.fromfile(path, np.uint8, offset=max(0, status.st_size - 8))
                # beside no database SQLite deletes a journal, whoever wrote it
                ours = end.tobytes() != NAMES_ANOTHER_FILE and os.path.exists(place / FILE)
            strange += [path] * (not ours)
    if strange:
        raise UserError(
            f"{printable(strange[0])} is a link, or nothing that miniclip wrote; delete it, or name "
            "another folder with --index"
        )


@contextlib.contextmanager
def _reading(path):
    """Turn what damage in the file `path` can raise in the block into a UserError."""
    try:
        yield
    except DAMAGED as error:
        reason = getattr(error, "strerror", None) or printable(error, 200) or type(error).__name__
        raise UserError(f"{printable(path)} cannot be read as an index: {reason}") from None


def _insert(database, features, pictures):
    """Add the block of some rows of the table `pictures`, if there are any."""
    for first, *_ in pictures[:1]:
        block = (first, features.tobytes(), _checksum(features.tobytes(), pictures))
        database.execute("INSERT INTO blocks VALUES (?, ?, ?)", block)


def _read(database, place):
    """The Index of an opened database; None where nothing was written yet. Raises UserError."""
    with _reading(place / FILE):
        if not database.execute("SELECT 1 FROM sqlite_master").fetchall():
            return None
        [(text, crc)] = database.execute("SELECT json, crc FROM about").fetchmany(2)
        if zlib.crc32(text.encode()) != crc:
            raise ValueError("its description is damaged")
        about, width = _checked(json.loads(text), place)
        most = os.path.getsize(place / FILE) // (2 * width)  # rows that fit into the file
        features, names, columns, free = np.empty((most, width), "f2"), [], [], 0
        pictures = database.execute("SELECT * FROM pictures ORDER BY id")
        for first, blob, crc in database.execute("SELECT * FROM blocks ORDER BY first"):
            block = np.frombuffer(blob, "f2").reshape(-1, width)
            rows = pictures.fetchmany(len(block)) if len(block) else []  # 0 would mean all
            ids, paths, *others = zip(*rows)
            in_order = ids[0] >= max(first, free) and ids == tuple(sorted({*ids}))
            if not in_order or _checksum(blob, rows) != crc:
                raise ValueError(f"the block of picture {first} is damaged")
            features[len(names) : len(names) + len(rows)] = block
            names += paths
            columns.append([ids, *others])
            free = ids[-1] + 1
        if pictures.fetchone() or not names:
            raise ValueError("it has pictures without features, or none")
        ids, sizes, mtimes, hashes = (
            np.array([*itertools.chain.from_iterable(column)], kind)
            for column, kind in zip(zip(*columns), ("i8", "i8", "i8", "O"))
        )
        paths = _decoded(b"\0".join(names), len(names))
        return Index(paths, features[: len(names)], sizes, mtimes, hashes, **about, ids=ids)


def _read_npz(path):
    """The Index in the file of version 0.1. Raises UserError."""
    with _reading(path):
        entries = zipfile.ZipFile(path).infolist()
        if sum(entry.file_size for entry in entries) > os.path.getsize(path):
            raise ValueError("it says that it holds more than it does")
        with np.load(path, allow_pickle=False) as file:
            about, names = (file[name].tobytes() for name in ("about", "paths"))
            features, sizes, mtimes = (file[name] for name in COLUMNS[:-1])
        paths, (_, width) = _decoded(names, len(features)), features.shape
        columns = [(x.dtype, x.shape) for x in (features, sizes, mtimes)]
        if columns != [("f2", (len(paths), width)), *[("i8", (len(paths),))] * 2]:
            raise ValueError("its tables do not fit each other")
        about, _ = _checked({**json.loads(about), "width": width, "finished": True}, path.parent)
        return Index(paths, features, sizes, mtimes, np.full(len(paths), None), **about)


def _checked(about, place):
    """What a file in `place` says of its model and its folder: (fields of an Index, E). Raises
    ValueError for what `save` does not write."""
    about = {key: about[key] for key in ABOUT}
    if not (
        [type(value) for value in about.values()] == [*ABOUT.values()]
        and re.fullmatch("[0-9a-f]{64}", about["digest"])
        and about["activation"] in ("gelu", "quickgelu")
        and about["width"] > 0
        and "\0" not in about["file"] + about["root"]
    ):
        raise ValueError("its description is none of an index")
    root = Path(os.path.normpath(place / about["root"]))
    width = about.pop("width")
    return {**about, "root": root}, width


def _decoded(names, count):
    """The `count` paths in a list of bytes with NUL between them. Raises ValueError."""
    paths = names.decode("utf-8", "surrogateescape").split("\0")
    if not len({*paths}) == len(paths) == count or any(
        part in b"\0%b\0" % names for part in OUTSIDE
    ):
        raise ValueError("it names a file outside of its folder, or one twice")
    return paths


def _checksum(features, pictures):
    """The CRC-32 of a block: the bytes of its features, and the rows of its pictures."""
    return zlib.crc32(repr(pictures).encode(), zlib.crc32(features))
