"""Shards over a network: fetched once into a folder, and from then on read like any others.

An address is of http, https, s3, gs, or whatever else fsspec can read. A shard is fetched whole, because its
index needs the header of every member, and these are spread over the tar: asked for one by one they
would be as many requests as there are files. Training begins when all shards are there, so that every
epoch reads from the disk. A shard that is there is not asked for again, and no network is needed then.
Left out: training while shards are fetched, sets that are larger than the disk, and noticing that a
shard has changed at its address (delete the folder to fetch it again).
"""

import contextlib
import hashlib
import os
import tarfile
import time
from multiprocessing.pool import ThreadPool
from pathlib import Path

import aiohttp
import fsspec
from tqdm import tqdm

from miniclip.common import UserError, check_output, refuse, replacing
from miniclip.data import cache
from miniclip.data.dataset import printable

AT_ONCE = 8  # shards that are fetched at the same time
WAITS_S = (1, 2, 4)  # before the second, the third and the fourth try
SILENT_S = 60  # a connection over which nothing comes for so long has failed


def fetched(urls: list[str], folder: str | None = None) -> list[str]:
    """The files in `folder` that hold the shards at these addresses. Shards that are not there yet are
    fetched. The file of an address at which nothing is found does not exist.

    folder: None for a folder in the cache. Raises UserError where an address cannot be reached.
    """
    folder = Path(folder or cache.folder() / "shards")
    places = {url: place(url, folder) for url in urls}
    missing = [url for url in urls if not places[url].exists()]
    if missing:
        check_output(places[missing[0]])
        # the threads of this pool do not keep the process from ending after Ctrl-C
        with ThreadPool(AT_ONCE) as pool:
            came = pool.imap_unordered(lambda url: _fetch(url, places[url]), missing)
            [*tqdm(came, "fetching shards (once)", len(missing), disable=None)]
    return [str(path) for path in places.values()]


def place(url: str, folder: Path) -> Path:
    """Where in `folder` a shard lies: below a hash of its address without its name, so that shards of one
    set lie together. Raises UserError for an address that does not end in .tar."""
    path, *rest = url.split("?", 1)
    head, _, name = path.rpartition("/")
    refuse(
        {
            f"{printable(url)} is not a .tar; only shards are fetched, so copy it first": (
                not name.lower().endswith(".tar")
            ),
            f"{printable(url)} has a *; name several shards as in 0000..1242 within braces": "*"
            in path,
        }
    )
    return folder / hashlib.sha256("?".join([head, *rest]).encode()).hexdigest()[:16] / name


def _fetch(url, path):
    """Fetch a shard, again after a while if it fails; no file where nothing is found at the address.
    Raises UserError when it has failed too often."""
    http = {
        "timeout": aiohttp.ClientTimeout(None, sock_connect=SILENT_S, sock_read=SILENT_S),
        "headers": {"Accept-Encoding": "identity"},  # so that the promised length is the file's
        "trust_env": True,  # the environment names a proxy
    }
    options = {"client_kwargs": http} if url.lower().startswith("http") else {}
    for wait_s in (*WAITS_S, None):
        transfer = fsspec.Callback()  # is told the size that the other side promises
        try:
            system, remote = fsspec.core.url_to_fs(url, **options)
            with contextlib.suppress(FileNotFoundError), replacing(path) as file:
                system.get_file(remote, file.name, callback=transfer)
                if transfer.size not in (None, os.path.getsize(file.name)):
                    raise OSError(f"not all of the {transfer.size} bytes came that were promised")
                refuse({"what came is not a tar": not tarfile.is_tarfile(file.name)})
            return
        except Exception as error:  # of the system or of a library, each of which has its own
            # an address that is wrong or forbidden stays so; of an answer 408 and 429 pass
            refused = getattr(error, "status", None) in {*range(500)} - {408, 429}
            wrong = isinstance(error, (ValueError, TypeError, PermissionError, ImportError))
            if refused or wrong or wait_s is None:
                said = f"{type(error).__name__}, {' '.join(str(error).split())[:200]}"
                raise UserError(f"{printable(url)} cannot be fetched: {said}") from None
            time.sleep(wait_s)
