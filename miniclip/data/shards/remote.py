"""Shards over a network: they are fetched once into a folder, and then read like any other shards.

An address begins with http, https, s3, gs, or whatever else fsspec can read. A shard is fetched as
a whole, because its index needs the header of every member. The headers are spread over the tar, so
fetching only them would take as many requests as there are files. Training begins when all shards
are in the folder, so that every epoch reads from the disk. A shard in the folder is not fetched
again; when all are there, no network is needed. Left out: training while shards are fetched, sets
that are larger than the disk, and noticing that a shard has changed at its address. To fetch a set
again, delete its folder.
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
SILENT_S = 60  # a connection has failed if nothing comes over it for so long


def fetched(urls: list[str], folder: str | None = None) -> list[str]:
    """The paths of the files in `folder` that hold the shards at these addresses.

    Shards that are not in the folder yet are fetched. If nothing is found at an address, its path
    is returned too, but there is no file. folder: None for a folder in the cache. Raises UserError
    when an address cannot be reached.
    """
    folder = Path(folder or cache.folder() / "shards")
    places = {url: place(url, folder) for url in urls}
    if missing := [url for url in urls if not places[url].exists()]:
        check_output(places[missing[0]])
        # a pool whose threads do not keep the process from ending after Ctrl-C
        with ThreadPool(AT_ONCE) as pool:
            came = pool.imap_unordered(lambda url: _fetch(url, places[url]), missing)
            [*tqdm(came, "fetching shards (once)", len(missing), disable=None)]
    return [str(path) for path in places.values()]


def place(url: str, folder: Path) -> Path:
    """The path of a shard's file, in a subfolder of `folder`.

    The name of the subfolder is a hash of the address without the shard's name, so that the shards
    of a set lie together. Raises UserError for an address that does not end in .tar, or that has
    a *.
    """
    path, *rest = url.split("?", 1)
    head, _, name = path.rpartition("/")
    refuse(
        {
            f"{printable(url)} is not a .tar; only shards are fetched, so copy the file yourself": (
                not name.lower().endswith(".tar")
            ),
            f"{printable(url)} has a *; name several shards with braces, as in {{0000..1242}}": (
                "*" in path
            ),
        }
    )
    return folder / hashlib.sha256("?".join([head, *rest]).encode()).hexdigest()[:16] / name


def _fetch(url, path):
    """Fetch a shard into a file. If this fails, try again after a while. If nothing is found at the
    address, no file is written. Raises UserError when there is no hope, or after the last try."""
    http = {
        "timeout": aiohttp.ClientTimeout(None, sock_connect=SILENT_S, sock_read=SILENT_S),
        "headers": {"Accept-Encoding": "identity"},  # the promised length is then that of the file
        "trust_env": True,  # use the proxy that the environment names
    }
    options = {"client_kwargs": http} if url.lower().startswith("http") else {}
    for wait_s in (*WAITS_S, None):
        transfer = fsspec.Callback()  # learns the size that the server promises
        try:
            system, remote = fsspec.core.url_to_fs(url, **options)
            with contextlib.suppress(FileNotFoundError), replacing(path) as file:
                system.get_file(remote, file.name, callback=transfer)
                if transfer.size not in (None, os.path.getsize(file.name)):
                    raise OSError(f"not all of the {transfer.size} promised bytes came")
                refuse({"what came is not a tar": not tarfile.is_tarfile(file.name)})
            return
        except Exception as error:  # each library behind fsspec raises errors of its own
            # trying again does not help if the address is wrong or forbidden, but it may after 408
            # and 429
            refused = getattr(error, "status", None) in {*range(500)} - {408, 429}
            wrong = isinstance(error, (ValueError, TypeError, PermissionError, ImportError))
            if refused or wrong or wait_s is None:
                said = f"{type(error).__name__}, {' '.join(str(error).split())[:200]}"
                raise UserError(f"{printable(url)} cannot be fetched: {said}") from None
            time.sleep(wait_s)
