"""The weights in a TorchScript archive, as OpenAI's files are, read without compiling its methods.

Such an archive holds a pickle of its modules, a file for each tensor, and the source of the methods.
torch.jit.load compiles that source, and its parser crashes on text that is nested deeply; it also runs
a __setstate__. Here the pickle is read with a reader that knows tensors and lists only. A module becomes
an empty object with the module's attributes, whatever its class. The source is text, and is searched.
Left out: running the methods.
"""

import io
import mmap
import pickle
import re
import struct
import zipfile
from collections import OrderedDict

import torch

from miniclip.common import UserError
from miniclip.training import archive

MODULES = 10_000  # at most; RN50x64 has about 600
DTYPES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "BoolStorage": torch.bool,
}


def read(path, names):
    """({name: tensor} as its state_dict has them, the source of its methods) of an archive.

    names: of its entries. Raises UserError for other objects than modules, and almost anything for a
    damaged archive.
    """
    with zipfile.ZipFile(path) as entries, open(path, "rb") as file:
        sources = [entries.read(name) for name in names if name.endswith(".py")]
        modules = [("", _Reader(entries, names[0].partition("/")[0], file).load())]
    code = b"\n".join(sources).decode("utf-8", "replace")
    # other attributes that are tensors are in no state_dict
    lists = re.findall(r"__(?:parameters|buffers)__ = \[(.*)\]", code)
    registered = set(re.findall(r'"(\w+)"', " ".join(lists)))
    state = {}
    for prefix, module in modules:  # grows
        for name, value in vars(module).items():
            if isinstance(value, _Module):
                modules.append((f"{prefix}{name}.", value))
            elif isinstance(value, torch.Tensor) and name in registered:
                state[prefix + name] = value
        if len(modules) > MODULES:
            raise UserError(f"it has more than {MODULES:,} modules")
    archive.check_tensors(state, path.stat().st_size)
    return state, code


class _Module:
    """An object of the archive: attributes, and nothing that runs."""

    def __setstate__(self, state):
        if not isinstance(state, dict):
            raise UserError("its __setstate__ would run as soon as it is loaded")
        vars(self).update(state)


class _Reader(pickle._Unpickler):  # the one in C takes memory for any number that it is told
    def __init__(self, entries, root, file):
        super().__init__(io.BytesIO(entries.read(f"{root}/data.pkl")))
        self.entries, self.root, self.storages = entries, root, {}
        self.data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)

    def find_class(self, module, name):
        if module.split(".")[0] == "__torch__":
            return _Module
        if module == "torch.jit._pickle":  # of a list and its type
            return lambda value, *kind: value
        return KNOWN[module, name]

    def persistent_load(self, pid):
        _, dtype, key, *_ = pid
        if key not in self.storages:
            entry = self.entries.getinfo(f"{self.root}/data/{key}")
            if entry.compress_type != zipfile.ZIP_STORED:
                raise UserError("its tensors are compressed")
            start = entry.header_offset + 30  # a local header ends with a name and more
            start += sum(struct.unpack("<HH", self.data[start - 4 : start]))
            count = entry.file_size // dtype.itemsize
            self.storages[key] = (
                torch.frombuffer(self.data, dtype=dtype, count=count, offset=start)
                if count
                else torch.empty(0, dtype=dtype)
            )
        return self.storages[key]


def _tensor(storage, offset, size, stride, *how):
    return storage.as_strided(size, stride, offset)


KNOWN = {("torch", name): dtype for name, dtype in DTYPES.items()} | {
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "device"): str,
}
