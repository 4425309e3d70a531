"""An index: the features of a folder's pictures in a SQLite database.

The database is the file index.sqlite in a folder of its own: DIR/.miniclip, or the folder that
--index names. Its table `pictures` has one row per picture. A row of its table `blocks` holds the
features of up to BLOCK_ROWS pictures in one blob, because one row per picture takes three times as
long to read. A block begins with the picture whose id is `first`. Its checksum covers the features
and the rows of its pictures. SQLite's locks let one process write while others read.

A folder of pictures may come from a stranger, and its index with it. So nothing in the file is
believed before it is checked, and no link inside the index's folder is followed. Version 0.1 wrote
index.npz. Such a file can still be searched, and it becomes a database when the index is next
updated. Left out: pictures on other machines.
"""

import contextlib
import json
import os
import re
import shutil
import sqlite3
import stat
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from miniclip.common import UserError, checked, refuse, refusing, replacing
from miniclip.data.dataset import fingerprint, printable
from miniclip.data.files import normal
from miniclip.weights import reading

FOLDER, FILE, OLD = ".miniclip", "index.sqlite", "index.npz"
JOURNAL = FILE + "-journal"  # SQLite keeps it while a process writes
OURS = (FILE, OLD, JOURNAL)
BLOCK_ROWS = 1024
MOST_BYTES = 64 << 20  # of one value in the database: the widest features make blocks of 32 MiB
SCHEMA = [
    "CREATE TABLE about (json TEXT, crc INTEGER)",
    "CREATE TABLE pictures "
    "(id INTEGER PRIMARY KEY, path BLOB, size INTEGER, mtime INTEGER, hash BLOB)",
    "CREATE TABLE blocks (first INTEGER PRIMARY KEY, features BLOB, crc INTEGER)",
]
MARKS = {"application_id": 0x636C6970, "user_version": 2}  # index.npz was format 1
ABOUT = {"digest": str, "file": str, "activation": str, "root": str, "width": int, "finished": bool}
IS_DAMAGED = "it is damaged; delete it, and make the index again"
REASONS = {  # what SQLite says: what it means here
    "database is locked": "another process is reading or writing it, or its file system has no "
    "locks; then name a folder elsewhere with --index",
    "disk I/O error": "it may have been deleted meanwhile, another process may be writing it, a "
    "limit on the size of files or a quota may be reached, or the disk fails",
    "attempt to write a readonly database": "it is write-protected, or was moved; if "
    "indexing was interrupted, make it writable and run python -m miniclip.search index again",
    "database disk image is malformed": IS_DAMAGED,
    "malformed database schema": IS_DAMAGED,
    "interrupted": "it holds more tables than an index has",
    "unable to open database file": "no file can be made there, or its path is longer than the 500 "
    "bytes or so that SQLite takes; choose another folder with --index",
}
DAMAGED = "{} cannot be read as an index"
# In a list of paths with NUL around each path, these show a path that is empty, begins with / or
# leads out of the folder.
OUTSIDE = (b"\0\0", b"\0/", b"/../", b"\0../", b"/..\0", b"\0..\0")


def followed(path: str | Path) -> Path:
    """`path` shortened as the file system understands it: "link/.." is the folder above the link's
    target, not the folder that holds the link."""
    return Path(normal("", os.fspath(path)))


@dataclass(eq=False)  # arrays have no single answer to ==
class Index:
    """The features of N pictures in a folder, and where the pictures are."""

    paths: list[str]  # N paths relative to root, with /
    features: np.ndarray  # (N, E) float16, rows of length one
    digest: str  # of the model's weights, see features.model_digest
    file: str  # the file of the model, or the name of a packaged one
    activation: str  # of the model
    root: Path  # the folder of the pictures
    finished: bool = True  # False: its process was killed, and some pictures may be missing
    place: Path | None = None  # the folder of the file that it was read from
    stamp: list | None = None  # the fingerprints of FILE and OLD there when it was read

    def __len__(self) -> int:
        return len(self.paths)

    @classmethod
    @checked
    def open(cls, place: str | Path, write: bool = False) -> "Index":
        """The index in the folder `place`, which a killed process may have left unfinished.

        write: also roll back what a process had half written when it was killed. Raises UserError
        if there is no index, or if it cannot be read.
        """
        place = followed(place)
        _check_files(place)
        # an empty file is no index: SQLite makes the file before it writes anything
        if os.path.exists(place / FILE) and os.path.getsize(place / FILE):
            with database_in(place, write) as database:
                if database.execute("SELECT 1 FROM sqlite_master").fetchall():
                    return index_in(database, place)
        if os.path.isfile(place / OLD):
            return _read_npz(place / OLD)[0]
        raise UserError(
            f"there is no index in {printable(place)}; make one with python -m miniclip.search "
            "index DIR --checkpoint web, or with weights of your own"
        )

    def path(self, row: int) -> Path:
        """The path under which the picture of this row can be opened: root joined with the relative
        path."""
        return self.root / self.paths[row]

    def warnings(self, whole: bool = True) -> list[str]:
        """Sentences that warn somebody who searches in this index. whole: whether they give the
        whole path of the folder, and not only its name."""
        present = any(os.path.exists(self.path(row)) for row in range(min(9, len(self))))
        so = {
            "the index is not finished: run python -m miniclip.search index again": not self.finished,
            f"the first pictures are not in {printable(self.root if whole else self.root.name)}, "
            "or cannot be read; was something moved?": not present,
        }
        return [sentence for sentence, is_so in so.items() if is_so]

    def must_be_of(self, encoder, digest: str | None = None) -> None:
        """Raise UserError unless this index was made with the model of this Encoder. digest: the
        encoder's, if the caller has computed it already, which takes seconds for a large model."""
        digest = encoder.digest if digest is None else digest
        refuse(
            {
                f"{printable(self.place)} was made with the model {printable(self.file)} "
                f"({self.digest[:12]}, {self.activation}), not with {printable(encoder.file)} "
                f"({digest[:12]}, {encoder.model.config['activation']}); name the "
                "first with --checkpoint, choose another folder with --index, or delete this "
                "index": (
                    (self.digest, self.features.shape[1])
                    != (digest, encoder.model.config["embed_dim"])
                )
            }
        )

    def model_file(self) -> str:
        """The file of the model that made the index, or the name of a packaged one.

        Raises UserError if the file is gone. Also raises UserError if the file lies in the folder
        of the pictures or of the index, because whoever sent that folder may have chosen the model.
        """
        model = Path(os.path.realpath(reading.find(self.file, known=False)))
        place = Path(os.path.abspath(self.place))
        theirs = (self.root, place.parent if place.name == FOLDER else place)
        refuse(
            {
                f"the model of this index is no longer in {printable(self.file)}; give "
                "--checkpoint": not model.exists(),
                f"the model of this index, {printable(self.file)}, lies in the folder of the "
                "pictures or of the index, which may be a stranger's; give --checkpoint if you trust it": bool(
                    {Path(os.path.realpath(folder)) for folder in theirs} & {*model.parents}
                ),
            }
        )
        return self.file

    def save(self, database, place: Path, stamps: list) -> None:
        """Append the pictures to the database in `place`, and commit. Raises UserError if another
        process has written to it right after the commit.

        stamps: for each picture its size in bytes, the time of its last change in nanoseconds, and
        the hash of its contents, or None if the hash is not known.
        """
        # another number after another process has written
        version = "SELECT data_version FROM pragma_data_version"
        [(free, before)] = database.execute(
            f"SELECT ifnull(max(id), 0) + 1, ({version}) FROM pictures"
        )
        rows = [
            (free + k, os.fsencode(path), *stamp)
            for k, (path, stamp) in enumerate(zip(self.paths, stamps))
        ]
        database.executemany("INSERT INTO pictures VALUES (?, ?, ?, ?, ?)", rows)
        for start in range(0, len(rows), BLOCK_ROWS):
            block, end = rows[start : start + BLOCK_ROWS], start + BLOCK_ROWS
            blob = self.features[start:end].tobytes()
            database.execute(
                "INSERT INTO blocks VALUES (?, ?, ?)", (block[0][0], blob, _checksum(blob, block))
            )
        place, root = (Path(os.path.abspath(path)) for path in (place, self.root))
        # an index inside the folder of the pictures may be moved with that folder, unless there is
        # a link between the two
        inside = place.resolve() == root.resolve() / os.path.relpath(place, root)
        about = {key: getattr(self, key, self.features.shape[1]) for key in ABOUT}
        root = os.path.relpath(root, place) if inside else root
        # in UTF-8, because the next process may have another locale
        file, root = (os.fsencode(x).decode("utf-8", "surrogateescape") for x in (self.file, root))
        text = json.dumps(about | {"file": file, "root": root})
        database.execute(
            "REPLACE INTO about (rowid, json, crc) VALUES (1, ?, ?)",
            (text, zlib.crc32(text.encode())),
        )
        database.execute("COMMIT")
        database.execute("BEGIN IMMEDIATE")  # another process may have begun in between
        refuse(
            {
                f"another process has written the index in {printable(place)} meanwhile; run the "
                "command again": database.execute(version).fetchone() != (before,)
            }
        )


@contextlib.contextmanager
def database_in(place: Path, write: bool = False):
    """`with database_in(place) as database:` opens the database of the index in the folder `place`
    and begins a transaction. database: the SQLite connection.

    write: open it for writing, which only one process can do at a time, and make it if it is not
    there. Raises UserError if it cannot be opened, if it has another schema than ours, or if
    another file was in its place at the end of the block.
    """
    place = followed(place)
    _check_files(place)
    is_first = write and os.path.isfile(place / OLD) and not os.path.exists(place / FILE)
    # before SQLite makes a file, because none must be left beside an index.npz that is refused
    old = _read_npz(place / OLD) if is_first else None
    has_links = write and os.path.isfile(place / FILE) and os.stat(place / FILE).st_nlink > 1
    if has_links and not os.path.lexists(place / JOURNAL):  # a snapshot must stay as it is
        with open(place / FILE, "rb") as shared, replacing(place / FILE) as own:
            shutil.copyfileobj(shared, own)
    address = Path(os.path.abspath(place / FILE)).as_uri() + "?mode=" + ("rwc" if write else "ro")
    try:
        with contextlib.closing(
            sqlite3.connect(address, uri=True, isolation_level=None, timeout=0)
        ) as database:
            # interrupts SQLite after 10,000 steps of its machine; reading our schema takes 100
            database.set_progress_handler(lambda: True, 10_000)
            if hasattr(database, "setlimit"):  # Python 3.10 lacks it
                database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_BYTES)
            for statement in (
                "PRAGMA trusted_schema = OFF",
                "PRAGMA cache_spill = OFF",  # which would lock readers out before the commit
                "PRAGMA page_size = 16384",  # of a new file: large pages are read faster
                # a writer does not wait for another writer, but later it waits 5 s for a reader
                "BEGIN IMMEDIATE" if write else "BEGIN",
                "PRAGMA busy_timeout = 5000",
            ):
                database.execute(statement)
            queries = ("SELECT sql FROM sqlite_master LIMIT 9", *(f"PRAGMA {x}" for x in MARKS))
            found = [x for query in queries for (x,) in database.execute(query) if x]
            refuse(
                {
                    f"{printable(place / FILE)} is no index that this version can read; delete it, or name another "
                    "folder with --index": (found and found != [*SCHEMA, *MARKS.values()])
                }
            )
            database.set_progress_handler(None, 0)
            if write and not found:
                for statement in (*SCHEMA, *(f"PRAGMA {x} = {y}" for x, y in MARKS.items())):
                    database.execute(statement)
                if os.path.isfile(place / OLD):
                    index, stamps = old or _read_npz(place / OLD)
                    index.save(database, place, stamps)
                    (place / OLD).unlink()
            inode = fingerprint(place / FILE)[-1:]
            yield database
            refuse(
                {
                    f"{printable(place / FILE)} was deleted or replaced meanwhile; run the command "
                    "again": write and fingerprint(place / FILE)[-1:] != inode
                }
            )
    except (sqlite3.Error, UnicodeDecodeError) as error:  # of damage in the text of the schema
        is_text = isinstance(error, UnicodeDecodeError)
        reason = IS_DAMAGED if is_text else REASONS.get(str(error).partition(" (")[0], error)
        raise UserError(
            f"{printable(place / FILE)} cannot be {'written' if write else 'read'}: {reason}"
        ) from None


def _check_files(place):
    """Raise UserError if a file of the index is a link, or is not one of ours (see _is_ours)."""
    strange = [place] if place.name == FOLDER and place.is_symlink() else []
    for name in (*OURS, FILE + "-wal", FILE + "-shm"):
        # a journal may be gone by now, because it comes and goes with each write
        damaged = refusing(DAMAGED.format(printable(place / name)))
        with damaged, contextlib.suppress(FileNotFoundError):
            strange += [] if _is_ours(place / name) else [place / name]
    for path in strange:
        refuse(
            {
                f"{printable(path)} belongs to an index that is gone; delete it": (
                    path.name == JOURNAL and not os.path.lexists(place / FILE)
                ),
                f"{printable(path)} is a link, or miniclip did not write it, or another program "
                "changed it; delete it, or name another folder with --index": True,
            }
        )


def _is_ours(path):
    """Whether a file of the index is one that SQLite can open without touching any other file.

    Two kinds of files are not. One is a write-ahead log, which miniclip never writes. The other is
    a database for which SQLite would make such a log, because another program has changed its mode.
    """
    status = os.lstat(path)
    if not stat.S_ISREG(status.st_mode) or path.name not in OURS:
        return False
    with open(path, "rb") as file:
        start = file.read(20)
        file.seek(max(0, status.st_size - 8))
        end = file.read()
    # bytes 18 and 19 say how SQLite writes and reads the file: 1 with a journal, 2 with a log
    database = start[:8] in (b"", b"SQLite f") and start[18:] in (b"", b"\1\1")
    # SQLite deletes any journal that has no database beside it. If a journal has this end, SQLite
    # also deletes another file, which the journal names.
    names_another = end == b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
    journal = not names_another and os.path.exists(path.with_name(FILE))
    return {FILE: database, JOURNAL: journal, OLD: True}[path.name]


def index_in(database, place: Path) -> Index:
    """The Index in an opened database. Raises UserError.

    Index.open must not be called in a block of database_in(place, write=True): it opens the file
    once more, and when any handle of a process is closed, POSIX drops the locks of all of them.
    """
    with refusing(DAMAGED.format(printable(place / FILE)), REASONS):
        [(text, crc, count)] = database.execute("SELECT json, crc, count(*) FROM about")
        refuse({"its description is damaged": (zlib.crc32(str(text).encode()), 1) != (crc, count)})
        about, width = _checked(json.loads(text), place)
        most = os.path.getsize(place / FILE) // (2 * width)  # rows that fit into the file
        features, names = np.empty((most, width), "f2"), []
        pictures = database.execute("SELECT * FROM pictures ORDER BY id")
        for first, blob, crc in database.execute("SELECT * FROM blocks ORDER BY first"):
            block = np.frombuffer(blob or b"", "f2").reshape(-1, width)
            rows = pictures.fetchmany(len(block)) if len(block) else []  # fetchmany(0) returns all
            is_whole = rows and rows[0][0] == first and _checksum(blob, rows) == crc
            refuse({f"the block of picture {first} is damaged": not is_whole})
            features[len(names) : len(names) + len(rows)] = block
            names += [row[1] for row in rows]
        refuse(
            {
                "it has pictures without features, or no pictures at all": pictures.fetchone()
                or not names
            }
        )
        features = features[: len(names)]
        return Index(_decoded(b"\0".join(names), features), features, **about)


def _read_npz(path):
    """(the Index in the file of version 0.1, the stamps of its pictures). Raises UserError."""
    with refusing(DAMAGED.format(printable(path))):
        size = sum(entry.file_size for entry in zipfile.ZipFile(path).infolist())
        refuse({"it claims to hold more bytes than it has": size > os.path.getsize(path)})
        with np.load(path, allow_pickle=False) as file:
            tables = {"about", "paths", "features", "sizes", "mtimes"}
            refuse({"version 0.1 of miniclip did not write it": not tables <= {*file.files}})
            about, names = (file[name].tobytes() for name in ("about", "paths"))
            features, sizes, mtimes = (file[name] for name in ("features", "sizes", "mtimes"))
        count, width = features.shape
        columns = [(x.dtype, x.shape) for x in (features, sizes, mtimes)]
        wanted = [("f2", (count, width)), *[("i8", (count,))] * 2]
        refuse({"its tables do not fit each other": columns != wanted})
        about, _ = _checked({**json.loads(about), "width": width, "finished": True}, path.parent)
        stamps = [(*stamp, None) for stamp in zip(sizes.tolist(), mtimes.tolist())]
        return Index(_decoded(names, features), features, **about), stamps


def _checked(about, place):
    """What a file in `place` says about its model and its folder, as (fields of an Index, E).
    Raises ValueError for values that `save` does not write."""
    about = {key: about[key] for key in ABOUT}
    is_ours = (
        [type(value) for value in about.values()] == [*ABOUT.values()]
        and re.fullmatch("[0-9a-f]{64}", about["digest"])
        and about["activation"] in ("gelu", "quickgelu")
        and about["width"] > 0
        and "\0" not in about["file"] + about["root"]
    )
    refuse({"its description is not that of an index": not is_ours})
    # raises for characters that no path has
    file, root = (about[k].encode("utf-8", "surrogateescape") for k in ("file", "root"))
    about |= {
        "file": os.fsdecode(file),
        "root": Path(os.path.normpath(place / os.fsdecode(root))),
        "place": place,
        "stamp": [fingerprint(place / name) for name in (FILE, OLD)],
    }
    return about, about.pop("width")


def _decoded(names, features):
    """The paths of the rows of `features` in `names`, bytes with NUL between the paths. Raises
    ValueError, also if a row is not of length one, because it could come first for any query."""
    blocks = torch.from_numpy(features).split(BLOCK_ROWS)
    lengths = torch.cat([block.float().norm(dim=1) for block in blocks])
    paths = os.fsdecode(names).split("\0")
    refuse(
        {
            "it names a file outside of its folder": any(
                part in b"\0%b\0" % names for part in OUTSIDE
            ),
            "it names a file twice, or too few or too many files": not len({*paths})
            == len(paths)
            == len(features),
            "its features are not of length one": not ((lengths - 1).abs() < 0.01).all(),
        }
    )
    return paths


def _checksum(features, rows):
    """The CRC-32 of a block: the bytes of its features, and the rows of its pictures."""
    return zlib.crc32(repr(rows).encode(), zlib.crc32(features))
