"""An index: the features of a folder's pictures in a file, and the exact search in it.

It lies in a folder of its own, DIR/.miniclip or one that is named: index.npz and, while it is being
made or after its process was killed, part-*.npz with what was finished since. Every file is written
atomically, says which model made it, and holds no pickle. Later files win over earlier ones.
Every query is compared with every picture: a million take a second of one core (docs/search.md). Left out: approximate search, and pictures on other machines.
"""

import json
import os
import re
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from miniclip.common import UserError, replacing
from miniclip.data.dataset import printable

FOLDER, FILE, PARTS = ".miniclip", "index.npz", "part-*.npz"
COLUMNS = ("features", "sizes", "mtimes")
ABOUT = ("digest", "file", "activation")  # the model
FORMAT = 1
BLOCK = 1 << 23  # numbers in fp32 that a search holds at a time: 32 MiB
# a path that begins with / or leads out of the folder, in a list of paths with NUL between them
_OUTSIDE = re.compile(rb"(?:^|\0)/|(?:^|[\0/])\.\.(?:[\0/]|$)")


@dataclass
class Index:
    """The features of N pictures in a folder, and where the pictures are."""

    paths: list  # N str, relative to root, with /
    features: np.ndarray  # (N, E) float16, rows of length one
    sizes: np.ndarray  # (N,) int64, bytes of each file
    mtimes: np.ndarray  # (N,) int64, nanoseconds, when each file was changed
    digest: str  # of the model, see features.model_digest
    file: str  # of the model, or the name of a released one
    activation: str  # of the model
    root: Path  # the folder of the pictures
    finished: bool = True  # False: the process that made it was killed, and some may be missing

    def __len__(self):
        return len(self.paths)

    @classmethod
    def open(cls, place, digest=None, name=None):
        """The index in the folder `place`, the finished parts of an interrupted run included.

        digest, name: of the model that it must be made with, None for any; the name is for the error.
        Raises UserError where there is no index, or a damaged or another model's one.
        """
        place = Path(place)
        files = sorted(place.glob(PARTS))
        finished = not files
        if os.path.exists(place / FILE):
            files.insert(0, place / FILE)
        if not files:
            raise UserError(
                f"there is no index in {printable(place)}; python -m miniclip.search index makes one"
            )
        found = [_read(path) for path in files]
        for other in found:
            other.must_be_of(digest or found[-1].digest, name or found[-1].file, place)
        if finished:
            return found[0]
        paths = [path for own in found for path in own.paths]
        last = {path: row for row, path in enumerate(paths)}
        columns = [np.concatenate([getattr(own, name) for own in found]) for name in COLUMNS]
        every = replace(found[-1], paths=paths, **dict(zip(COLUMNS, columns)))
        return every.select(list(last.values()), finished=False)

    def must_be_of(self, digest, name, place):
        """Raise UserError unless the model has this digest. name: of the other; place: of this."""
        if self.digest != digest:
            raise UserError(
                f"{printable(place)} was made with the model {printable(self.file)} "
                f"({self.digest[:12]}), not with {printable(name)} ({digest[:12]}); choose another "
                "folder with --index, or delete it"
            )

    def status(self):
        """{path: (bytes, nanoseconds of the last change)} of each picture when it was read."""
        return dict(zip(self.paths, zip(self.sizes.tolist(), self.mtimes.tolist())))

    def select(self, rows, **changed):
        """The index of some rows, a list, in their order; changed: other values of fields."""
        columns = {name: getattr(self, name)[rows] for name in COLUMNS}
        return replace(self, paths=[self.paths[i] for i in rows], **columns, **changed)

    def write(self, path):
        """Write the rows as one file, atomically. Raises OSError."""
        place, root = (Path(os.path.abspath(p)) for p in (Path(path).parent, self.root))
        moves_along = root in place.parents  # then both may be moved together
        about = {key: getattr(self, key) for key in ABOUT}
        about |= {
            "format": FORMAT,
            "root": os.path.relpath(root, place) if moves_along else str(root),
        }
        with replacing(path) as file:
            np.savez(
                file,
                about=_to_bytes(json.dumps(about)),
                paths=_to_bytes("\0".join(self.paths)),
                **{name: getattr(self, name) for name in COLUMNS},
            )

    def path(self, row):
        """The path of a row's picture, to be opened."""
        return self.root / self.paths[row]

    @torch.inference_mode()
    def find(self, query, k):
        """The k nearest rows: (cosines fp32, rows int64), both (k,) for a query (E,), (Q, k) for
        (Q, E); fewer where the index has fewer. Best first; the earlier row first where two tie.

        query: unit features, a tensor. Exact for the features in 16 bits, which are compared in
        32; memory for BLOCK numbers, whatever N is.
        """
        queries, rows = query.detach().cpu().float().reshape(-1, query.shape[-1]), len(self)
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
        shape = (*query.shape[:-1], -1)
        return best.reshape(shape), where.reshape(shape)


def place_of(folder, index=None):
    """Where the index of a folder of pictures lies: `index`, if it is given, or its .miniclip."""
    return Path(index) if index else Path(folder) / FOLDER


def _to_bytes(text):
    """A str as (n,) uint8: UTF-8, and the bytes of names that are not UTF-8 as they are."""
    return np.frombuffer(text.encode("utf-8", "surrogateescape"), np.uint8)


def _read(path):
    """The Index in a file. Raises UserError."""
    try:
        with np.load(path, allow_pickle=False) as file:
            about = json.loads(file["about"].tobytes())
            if about["format"] != FORMAT:
                raise ValueError(f"its format is {about['format']}, and this code reads {FORMAT}")
            names = file["paths"].tobytes()
            columns = {name: file[name] for name in COLUMNS}
        if _OUTSIDE.search(names):
            raise ValueError("it names a file outside of its folder")
        paths = names.decode("utf-8", "surrogateescape").split("\0")
        kinds = [(column.dtype, column.ndim, len(column)) for column in columns.values()]
        if kinds != [(np.dtype(t), n, len(paths)) for t, n in (("f2", 2), ("i8", 1), ("i8", 1))]:
            raise ValueError("its tables do not fit each other")
        root = Path(os.path.normpath(path.parent / about["root"]))
        return Index(paths, **columns, **{key: about[key] for key in ABOUT}, root=root)
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise UserError(f"{printable(path)} cannot be read as an index: {reason}") from None
