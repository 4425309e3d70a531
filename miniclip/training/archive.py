"""Files of torch.save, read without trusting what they say of their own sizes.

torch.load(weights_only=True) runs nothing that is in a file, but it takes the memory that the file asks
for. So what is read must be about as large as the file: zip entries that inflate are refused before
they are read, tensors that are larger than what is stored of them (expanded ones) afterwards.
Left out: other compressed files; torch.save compresses nothing.
"""

import math
import mmap
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import torch

from miniclip.common import UserError

SLACK = 64 << 20  # bytes beyond twice the file's own; the source text in TorchScript is compressed


def check_total(size, file_size):
    """Raise UserError where a file of so many bytes would take `size` bytes of memory."""
    if size > 2 * file_size + SLACK:
        raise UserError(f"it would take {size:,} bytes of memory, and has only {file_size:,}")


def names(path):
    """The names in torch's zip archive, [] for any other file. Raises UserError for two entries of one
    name, of which another reader may take the other one, and for entries that inflate."""
    with open(path, "rb") as file:
        if file.read(4) != b"PK\3\4":
            return []
        entries = zipfile.ZipFile(file).infolist()
        check_total(sum(entry.file_size for entry in entries), file.seek(0, 2))
    found = [entry.filename for entry in entries]
    lower = sorted(name.lower().partition("/")[2] for name in found)  # torch ignores case
    for name, following in zip(lower, lower[1:]):
        if name == following:
            raise UserError(f"it has 2 entries called {name!r}")
    return found


def read(path):
    """What torch.save wrote into a file: tensors on the CPU, numbers, strings, lists and dicts.

    Raises UserError for what takes more memory than the file, and any error of torch.load.
    """
    found = names(path)
    with open(path, "rb") as file, closing(mmap.mmap(file.fileno(), 0, access=1)) as data:
        pickles = data
        if found:
            archive = zipfile.ZipFile(file)
            pickles = b"".join(archive.read(name) for name in found if name.endswith(".pkl"))
        if pickles.find(b"bytearray\n") >= 0:  # bytearray(10**12) is allowed by torch.load
            raise UserError("it holds more than tensors (bytearray)")
        content = torch.load(path, map_location="cpu", weights_only=True)
        check_tensors(content, len(data))
    return content


def check_tensors(content, file_size):
    """Raise UserError unless the tensors in `content` are plain ones, no larger than the file."""
    total = 0
    for x in _tensors(content):
        kinds = x.layout is torch.strided, x.device.type == "cpu", not x.is_quantized
        if not all(kinds) or x.is_complex() or x.is_nested:
            raise UserError(
                "it holds a tensor that is sparse, complex, quantized or without numbers"
            )
        size = math.prod(x.shape) * x.element_size()
        if size > x.untyped_storage().nbytes():
            raise UserError(
                f"a tensor of shape {tuple(x.shape)} is larger than what is stored of it"
            )
        total += size
    check_total(total, file_size)


def _tensors(content):
    """All tensors in dicts, lists and tuples inside each other; each of those is visited once."""
    todo, seen = [content], set()
    while todo:
        x = todo.pop()
        if isinstance(x, torch.Tensor):
            yield x
        elif isinstance(x, (dict, list, tuple)) and id(x) not in seen:
            seen.add(id(x))
            todo += x.values() if isinstance(x, dict) else x


def check_crcs(path):
    """Raise UserError where bytes of torch's zip archive have changed since they were written."""

    def read_all(name):
        with archive.open(name) as file:  # raises at the end where the CRC-32 is another one
            while file.read(1 << 20):
                pass

    try:
        with zipfile.ZipFile(path) as archive, ThreadPoolExecutor() as pool:
            list(pool.map(read_all, archive.namelist()))
    except (zipfile.BadZipFile, EOFError) as error:
        raise UserError(f"{path} is damaged: {error}") from None
