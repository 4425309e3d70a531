"""The weights in a TorchScript archive, as OpenAI's files are, read without compiling its methods.

Such an archive holds a pickle of its modules, an entry for each tensor, and the source of the methods.
torch.jit.load compiles that source, and its parser crashes where text is nested deeply; it also runs a
__setstate__. Here a module becomes an empty object with the module's attributes, whatever its class,
and the source is text to search in.
Left out: running the methods.
"""

import pickle
import re
from collections import OrderedDict
from types import SimpleNamespace

import torch

from miniclip.common import UserError
from miniclip.training.archive import check_tensors
from miniclip.weights.limits import MODULES, SOURCE_BYTES


def read(path, entries):
    """({name: tensor} as the archive's state_dict has them, the source of its methods).

    entries: the archive at `path` (a Path), a ZipFile. Raises UserError where the archive is larger
    than it looks, and almost anything where it is damaged.
    """
    sources = [entry for entry in entries.infolist() if entry.filename.endswith(".py")]
    packed = sum(entry.file_size for entry in entries.infolist()) - path.stat().st_size
    if packed > SOURCE_BYTES:
        raise UserError(f"its entries have {packed:,} bytes more than the file")
    code = "\n".join(entries.read(source).decode("utf-8", "replace") for source in sources)
    reader = torch._C.PyTorchFileReader(str(path))
    unpickler = SimpleNamespace(Unpickler=_Unpickler)
    modules = [("", torch.serialization._load(reader, "cpu", unpickler))]
    # a tensor that is another kind of attribute is in no state_dict
    lists = re.findall(r"__(?:parameters|buffers)__ = \[(.*)\]", code)
    registered, state = set(re.findall(r'"(\w+)"', " ".join(lists))), {}
    for prefix, module in modules:  # grows
        for name, value in vars(module).items():
            if isinstance(value, _Module):
                modules.append((f"{prefix}{name}.", value))
            elif isinstance(value, torch.Tensor) and name in registered:
                state[prefix + name] = value
        if len(modules) > MODULES:
            raise UserError(f"it has more than {MODULES:,} modules")
    check_tensors(state, path.stat().st_size)
    return state, code


class _Module:
    """An object of any class in the archive: attributes, and nothing that runs."""

    def __setstate__(self, state):
        if not isinstance(state, dict):
            raise UserError("its __setstate__ would run as soon as it is loaded")
        vars(self).update(state)


class _Unpickler(pickle._Unpickler):  # the one in C takes memory for any number that it is told
    def find_class(self, module, name):
        if module.split(".")[0] == "__torch__":
            return _Module
        if module == "torch.jit._pickle":  # of a list and its type
            return lambda value, *kind: value
        known = torch._utils._rebuild_tensor_v2, OrderedDict, torch.device
        return {x.__name__: x for x in known}[name]
