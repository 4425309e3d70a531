"""Files of torch.save, read without trusting what they say of their own sizes.

torch.load(weights_only=True) runs nothing that is in a file, but it takes the memory that the file asks
for. So compressed entries are refused, which torch.save does not write, and so are tensors that are
larger than what is stored of them. A file that says that miniclip wrote it is also compared with the
CRC-32s in it, so that a changed bit is noticed.
"""

import math
import mmap
import zipfile
from contextlib import closing

import torch

from miniclip.common import UserError


def read(path):
    """What torch.save wrote into a file: tensors on the CPU, numbers, strings, lists and dicts.

    Raises UserError for what takes more memory than the file, or has changed since miniclip wrote it,
    and any error of torch.load.
    """
    with open(path, "rb") as file, closing(mmap.mmap(file.fileno(), 0, access=1)) as data:
        entries = zipfile.ZipFile(file) if data[:2] == b"PK" else None
        found = entries.infolist() if entries else ()
        # 0x10 says that an entry is a folder, and torch would take what lies in memory for its bytes
        if any(entry.compress_type or entry.external_attr & 0x10 for entry in found):
            raise UserError("it is compressed, or has folders, and torch.save writes neither")
        pickles = [entries.read(e) for e in found if e.filename.endswith(".pkl")] or [data]
        if any(pickled.find(b"bytearray\n") >= 0 for pickled in pickles):
            raise UserError(
                "it holds more than tensors (bytearray)"
            )  # bytearray(10**12) is allowed
        content = torch.load(path, map_location="cpu", weights_only=True)
        check_tensors(content, len(data))
        if isinstance(content, dict) and "miniclip" in (content.get("format"), *content):
            if entries is None or entries.testzip():
                raise UserError("bytes of it have changed since it was written")
    return content


def check_tensors(content, file_size):
    """Raise UserError unless all tensors in dicts, lists and tuples inside each other are plain ones,
    of no more bytes than are stored of each, and than the file has."""
    todo, seen, total = [content], set(), 0
    while todo:
        x = todo.pop()
        if isinstance(x, (dict, list, tuple)) and id(x) not in seen:
            seen.add(id(x))
            todo += x.values() if isinstance(x, dict) else x
        if isinstance(x, torch.Tensor):
            plain = x.layout is torch.strided and x.device.type == "cpu" and not x.is_quantized
            size = math.prod(x.shape) * x.element_size()
            if not plain or x.is_complex() or size > x.untyped_storage().nbytes():
                raise UserError(
                    f"it holds a tensor of shape {tuple(x.shape)} that is not stored whole, "
                    "or not as real numbers one after another"
                )
            total += size
    if total > file_size:
        raise UserError(f"its tensors have {total:,} bytes, and the file {file_size:,}")
