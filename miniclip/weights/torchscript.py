"""The weights in a TorchScript archive, as OpenAI's files are, read without compiling its methods.

Such an archive holds a pickle of its modules, an entry for each tensor, and the source of the methods.
torch.jit.load compiles that source, and its parser crashes where text is nested deeply; it also runs a
__setstate__. Here a module becomes an empty object with the module's attributes, whatever its class,
and the source is text in which the activation is looked for.
Left out: running the methods.
"""

import pickle
import re
import zipfile
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace

import torch

from miniclip.common import refuse
from miniclip.training.archive import check_pickles, check_tensors

MODULES = 10_000  # the most in an archive; RN50x64 has about 600
LONGEST_NAME = 1000  # characters, of a module
SOURCE_BYTES = 64 << 20  # of its compressed text, beyond the archive's size
# QuickGELU's 1.702 as an archive stores a constant
QUICK = {
    torch.tensor([1.702], dtype=dtype).view(torch.uint8).numpy().tobytes()
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16)
}


def read(path: Path, entries: zipfile.ZipFile) -> tuple[dict, str | None]:
    """({name: tensor} as the archive's state_dict has them, the activation of its blocks).

    entries: the archive at `path`. Raises UserError where the archive is larger
    than it looks, and almost anything where it is damaged.
    """
    packed = sum(entry.file_size for entry in entries.infolist()) - path.stat().st_size
    refuse({f"its entries have {packed:,} bytes more than the file": packed > SOURCE_BYTES})
    check_pickles([entries.read(e) for e in entries.infolist() if e.filename.endswith(".pkl")])
    code, constants = (
        [entries.read(e) for e in entries.infolist() if e.filename.split("/")[1:2] == [folder]]
        for folder in ("code", "constants")
    )
    code = b"\n".join(code).decode("utf-8", "replace")
    entries.fp.seek(0)
    reader = torch._C.PyTorchFileReader(entries.fp)  # the path may be none in UTF-8
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
        many = f"it has more than {MODULES:,} modules, or modules in each other"
        refuse({many: len(modules) > MODULES or len(prefix) > LONGEST_NAME})
    check_tensors(state, path.stat().st_size)
    return state, _activation(code, constants, any("layer1." in name for name in state))


def _activation(code, constants, resnet):
    """ "gelu" or "quickgelu", which the source of an archive calls, or None where it does not tell:
    it calls no activation, or a sigmoid without QuickGELU's number. UserError for any other.

    constants: the bytes of the numbers that the source calls CONSTANTS.c0, CONSTANTS.c1, ...
    """
    quick = "1.702" in code or not QUICK.isdisjoint(constants)
    calls = set(re.findall(r"torch\.(gelu|sigmoid|silu|erf|tanh|relu)_?\(", code))
    calls -= {"relu"} if resnet else set()
    if calls == {"gelu"} and 'approximate="tanh"' not in code:
        return "gelu"
    odd = "its methods use neither GELU nor QuickGELU alone as the activation"
    refuse({odd: calls and calls not in ({"sigmoid"}, {"silu"})})
    return "quickgelu" if calls and quick else None


class _Module:
    """An object of any class in the archive: attributes, and nothing that runs."""

    def __setstate__(self, state):
        refuse({"its __setstate__ would run as soon as it is loaded": not isinstance(state, dict)})
        vars(self).update(state)


class _Unpickler(pickle._Unpickler):  # the one in C takes memory for any number that it is told
    def find_class(self, module, name):
        if module.split(".")[0] == "__torch__":
            return _Module
        if module == "torch.jit._pickle":  # of a list and its type
            return lambda value, *kind: value
        known = torch._utils._rebuild_tensor_v2, OrderedDict, torch.device
        return {x.__name__: x for x in known}[name]
