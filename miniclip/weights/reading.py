"""Open a file of weights without running what is in it: four formats in, one dict out.

A checkpoint of torch is a pickle, and a pickle is a program. So .safetensors is read with its own
library, which reads tensors and text only. A pickle is read with torch.load(weights_only=True), which
accepts tensors, numbers, strings, lists and dicts and refuses everything else (training/archive.py).
OpenAI's files are TorchScript archives, of which the tensors are read and nothing is compiled.
Hugging Face's libraries split a large model into several files and write an index, which says where
each tensor is. Models in the package have a name instead of a path, and so have released models
(names.py). What a file declares is compared with a limit before memory or time is taken. No released
CLIP comes near these limits.
Left out: numpy files, and running the methods of an archive.
"""

import json
import os
import pickle
import re
import zipfile
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace

import torch
from safetensors import safe_open

from miniclip.common import UserError, refuse, refusing
from miniclip.model.clip import OPENAI
from miniclip.training import archive
from miniclip.weights.names import IN_FOLDER, INDEX, is_known, locate

RELEASED = Path(__file__).parent / "released"  # what lessons/studies/release.py wrote
JSON_BYTES = 32 << 20
HEADER_BYTES = 8 << 20  # of a safetensors file; RN50x64's has 0.14 MB
MODULES = 10_000  # the most in a TorchScript archive; RN50x64 has about 600
LONGEST_NAME = 1000  # characters, of a module
SOURCE_BYTES = 64 << 20  # of an archive's compressed text, beyond the archive's size
# QuickGELU's 1.702 as an archive stores a constant
QUICK = {
    torch.tensor([1.702], dtype=dtype).view(torch.uint8).numpy().tobytes()
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16)
}


def available_models() -> list[str]:
    """The names that `load` knows: models in the package, then released ones, which it may download."""
    return [*sorted(file.stem for file in RELEASED.glob("*.pt")), *OPENAI]


def find(path: str | Path, known: bool = True) -> Path:
    """The file of weights that `path` means.

    The name of a packaged model ("icons") always means that model; write "./icons" for a file of that
    name. A folder means the weights in it (IN_FOLDER). If nothing is at `path` and it is a name of
    names.py, it means these weights, which may be downloaded; with known=False it does not.
    """
    name = os.fspath(path)
    released = {file.stem: file for file in RELEASED.glob("*.pt")}
    path = released.get(name, Path(path))
    if known and not os.path.exists(path) and is_known(name):
        path = locate(name)
    return next((path / name for name in IN_FOLDER if os.path.isfile(path / name)), path)


def read(path: str | Path) -> dict:
    """Read a weights file, or all that an index names, onto the CPU. Returns a dict with

    content: what the file holds, which is {name: tensor} unless torch.save wrote it; notes: what the
    file says of itself, which is the strings of a safetensors file, the content of a file of
    torch.save if that is a dict, else {}; activation: the one in the methods of a TorchScript file, or
    None. Raises UserError for what cannot be read.
    """
    path, found = Path(path), {"notes": {}, "activation": None}
    refuse(
        {
            f"the folder {path} holds none of {', '.join(IN_FOLDER)}": os.path.isdir(path),
            f"there is no weights file at {path}": not os.path.isfile(path),
        }
    )
    if path.name.endswith(INDEX):
        return found | {"content": _read_shards(path)}
    with refusing(f"{path} cannot be read as weights"):
        with open(path, "rb") as file:
            start = file.read(23)
        refuse(
            {
                "it is a pointer of Git LFS; fetch the file itself with: git lfs pull": (
                    start == b"version https://git-lfs"
                )
            }
        )
        if start[8:9] == b"{":  # the length of a JSON header, then the header
            size = int.from_bytes(start[:8], "little")
            refuse({f"its header has {size:,} bytes, too many for a CLIP": size > HEADER_BYTES})
            with safe_open(path, framework="pt") as file:
                content = {name: file.get_tensor(name) for name in file.keys()}
                notes = file.metadata() or {}
            archive.check_tensors(content, path.stat().st_size)
            return found | {"content": content, "notes": notes}
        if zipfile.is_zipfile(path):
            entries = zipfile.ZipFile(path)
            if any(name.lower().endswith("/constants.pkl") for name in entries.namelist()):
                content, activation = _read_torchscript(path, entries)
                return found | {"content": content, "activation": activation}
        content = archive.read(path)
        return found | {"content": content, "notes": content if isinstance(content, dict) else {}}


def _read_torchscript(path, entries):
    """({name: tensor} as the archive's state_dict has them, "quickgelu" or None), nothing compiled.

    Such an archive holds a pickle of its modules, an entry for each tensor, and the source of the
    methods. torch.jit.load compiles that source, and its parser crashes where text is nested deeply; it
    also runs a __setstate__. Here a module becomes an empty object with the module's attributes,
    whatever its class, and the source is text in which the activation is looked for.
    entries: the archive at `path`. None: the source calls another activation than QuickGELU, or none,
    or a sigmoid without QuickGELU's number. Raises UserError where the archive is larger than it
    looks, and almost anything where it is damaged.
    """
    packed = sum(entry.file_size for entry in entries.infolist()) - path.stat().st_size
    refuse({f"its entries have {packed:,} bytes more than the file": packed > SOURCE_BYTES})
    archive.check_pickles(
        [entries.read(e) for e in entries.infolist() if e.filename.endswith(".pkl")]
    )
    code, constants = (
        [entries.read(e) for e in entries.infolist() if e.filename.split("/")[1:2] == [folder]]
        for folder in ("code", "constants")
    )
    code = b"\n".join(code).decode("utf-8", "replace")
    entries.fp.seek(0)
    reader = torch._C.PyTorchFileReader(entries.fp)  # the path may be none in UTF-8
    root = torch.serialization._load(reader, "cpu", SimpleNamespace(Unpickler=_Unpickler))
    # a tensor that is another kind of attribute is in no state_dict
    lists = re.findall(r"__(?:parameters|buffers)__ = \[(.*)\]", code)
    registered = set(re.findall(r'"(\w+)"', " ".join(lists)))
    modules, state = [("", root)], {}
    for prefix, module in modules:  # grows
        for name, value in vars(module).items():
            if isinstance(value, _Module):
                modules.append((f"{prefix}{name}.", value))
            elif isinstance(value, torch.Tensor) and name in registered:
                state[prefix + name] = value
        refuse(
            {
                f"it has more than {MODULES:,} modules, or modules in each other": (
                    len(modules) > MODULES or len(prefix) > LONGEST_NAME
                )
            }
        )
    archive.check_tensors(state, path.stat().st_size)
    calls = set(re.findall(r"torch\.(gelu|sigmoid|silu|erf|tanh)_?\(", code))
    slope = "1.702" in code or not QUICK.isdisjoint(constants)
    return state, "quickgelu" if slope and calls in ({"sigmoid"}, {"silu"}) else None


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


def read_json(path: Path) -> dict:
    """The object in a JSON file. Raises OSError, or UserError for anything else than such an object."""
    # a pipe could block for ever
    refuse({f"{path} is not a file": os.path.exists(path) and not os.path.isfile(path)})
    with open(path, "rb") as file:
        return parse_json(path, file.read(JSON_BYTES))  # one that is longer is cut short


def parse_json(path: Path, text: str | bytes) -> dict:
    """The object in JSON text that is from a file. UserError for anything else."""
    with refusing(f"{path} holds damaged JSON"):
        found = json.loads(text)
    refuse({f"{path} holds JSON, but no object of names and values": not isinstance(found, dict)})
    return found


def _read_shards(index):
    """{name: tensor} of a model whose tensors are spread over the files that `index` names."""
    with refusing(f"{index} is no index of weights"):
        homes = read_json(index)["weight_map"]
        names = sorted(set(homes.values()))
        refuse(
            {
                "it names files that do not lie beside it, or that hold no weights": (
                    not all(re.fullmatch(r"[\w.-]+\.(safetensors|bin)", name) for name in names)
                )
            }
        )
        shards = {name: read(index.parent / name)["content"] for name in names}
        return {tensor: shards[home][tensor] for tensor, home in homes.items()}


def by_miniclip(path: Path) -> dict:
    """What the file of weights at `path` says of itself if miniclip wrote it, else {}; for
    check_output.

    Raises UserError for the checkpoint of a run, which could not go on without its optimizer.
    """
    try:
        notes = read(path)["notes"]
    except UserError:
        return {}
    ours = archive.is_ours(notes)
    refuse(
        {
            f"{path} is the checkpoint of a run, with its optimizer; choose another name": (
                ours and "optimizer" in notes
            )
        }
    )
    return notes if ours else {}
