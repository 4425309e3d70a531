"""Open a file of weights without running what is in it: four formats in, one dict out.

A checkpoint of torch is a pickle, and a pickle is a program, so it must not simply be loaded. This
is how the four formats are read:

- a pickle, with torch.load(weights_only=True), which accepts tensors, numbers, strings, lists and
  dicts and refuses everything else (training/archive.py);
- .safetensors, with its own library, which reads tensors and text only;
- OpenAI's TorchScript archives: only the tensors are read, and nothing is compiled;
- an index, which Hugging Face's libraries write if they split a large model into several files. It
  says which file holds each tensor.

Models in the package, and released models, have a name instead of a path (names.py). The sizes that
a file declares are compared with limits before memory or time is spent on them. No released CLIP
comes near these limits.
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
from safetensors.torch import save_file

from miniclip.common import UserError, first_bytes, odd_file, refuse, refusing
from miniclip.model.clip import OPENAI
from miniclip.training import archive
from miniclip.weights.names import IN_FOLDER, INDEX, is_known, locate, weights_among

RELEASED = Path(__file__).parent / "released"  # what lessons/studies/release.py wrote
JSON_BYTES = 32 << 20
HEADER_BYTES = 8 << 20  # the most in the header of a safetensors file; RN50x64's has 0.14 MB
MODULES = 10_000  # the most in a TorchScript archive; RN50x64 has about 600
LONGEST_NAME = 1000  # characters in the name of a module
SOURCE_BYTES = 64 << 20  # how much larger than the archive its entries may be, since text is packed
# QuickGELU's 1.702 as an archive stores a constant
QUICK = {
    torch.tensor([1.702], dtype=dtype).view(torch.uint8).numpy().tobytes()
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16)
}


def available_models() -> list[str]:
    """The names that `load` knows: packaged models, then released ones, which it may download."""
    return [*sorted(file.stem for file in RELEASED.glob("*.pt")), *OPENAI]


def find(path: str | Path, known: bool = True) -> Path:
    """The file of weights that `path` means.

    The name of a packaged model ("icons") always means that model; write "./icons" for a file of
    that name, or give a Path that exists. A folder means the weights in it (weights_among). If
    nothing is at `path`, it may be a name that names.py knows. Then the weights of that name are
    meant, and they may be downloaded. With known=False, such names are not looked up.
    """
    name = os.fspath(path)
    released = {file.stem: file for file in RELEASED.glob("*.pt")}
    # a Path drops a leading "./", so it means what it leads to, if there is anything
    is_there = isinstance(path, os.PathLike) and os.path.lexists(path)
    path = Path(path) if is_there else released.get(name, Path(path))
    if known and not os.path.exists(path) and is_known(name):
        path = locate(name)
    return path / (os.path.isdir(path) and weights_among(os.listdir(path)) or "")


def read(path: str | Path) -> dict:
    """Read a file of weights, or all files that an index names, onto the CPU. Returns a dict with

    - content: the dict that the file holds. It is {name: tensor}, unless torch.save wrote another.
    - notes: a dict of what the file says about itself. For a safetensors file these are the strings
      that it holds beside its tensors; for a file of torch.save, they are the whole content.
      Otherwise the dict is empty.
    - activation: "quickgelu" if the methods of a TorchScript file call it, otherwise None.

    Raises UserError if the file cannot be read.
    """
    path, found = Path(path), {"notes": {}, "activation": None}
    refuse(
        {
            f"the folder {path} holds none of {', '.join(IN_FOLDER)}; of a run of train.py give "
            "the file checkpoint.pt": os.path.isdir(path),
            **odd_file(path),
            f"there is no weights file at {path}": not os.path.isfile(path),
        }
    )
    if path.name.endswith(INDEX):
        return found | {"content": _read_shards(path)}
    with refusing(f"{path} cannot be read as weights"):
        start = first_bytes(path, 23)
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
                return found | _read_torchscript(path, entries)
        content = archive.read(path)
        refuse({"it should hold a dict of tensors by name": not isinstance(content, dict)})
        return found | {"content": content, "notes": content}


def _read_torchscript(path, entries):
    """The tensors and the activation in a TorchScript archive, without compiling anything.

    Such an archive holds a pickle of its modules, an entry for each tensor, and the source of the
    methods. torch.jit.load compiles that source, and its parser crashes on deeply nested text. It
    also runs the method __setstate__ of a module. Here every module becomes an object of one empty
    class, with the module's attributes, and the source is only searched for the activation.

    entries: the zip archive at `path`. Returns {"content": {name: tensor} as in the model's
    state_dict, "activation": "quickgelu" or None}. None means that the source calls no activation,
    another one, or a sigmoid without QuickGELU's number. Raises UserError if the entries are much larger than the file, and
    almost any error if the archive is damaged.
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
    reader = torch._C.PyTorchFileReader(entries.fp)  # not the path, which may not be UTF-8
    root = torch.serialization._load(reader, "cpu", SimpleNamespace(Unpickler=_Unpickler))
    # a state_dict holds parameters and buffers only, and not tensors that are other attributes
    lists = re.findall(r"__(?:parameters|buffers)__ = \[(.*)\]", code)
    registered = set(re.findall(r'"(\w+)"', " ".join(lists)))
    modules, state = [("", root)], {}
    for prefix, module in modules:  # the list grows meanwhile
        for name, value in vars(module).items():
            if isinstance(value, _Module):
                modules.append((f"{prefix}{name}.", value))
            elif isinstance(value, torch.Tensor) and name in registered:
                state[prefix + name] = value
        refuse(
            {
                f"it has more than {MODULES:,} modules, or modules that contain each other": (
                    len(modules) > MODULES or len(prefix) > LONGEST_NAME
                )
            }
        )
    archive.check_tensors(state, path.stat().st_size)
    calls = set(re.findall(r"torch\.(gelu|sigmoid|silu|erf|tanh)_?\(", code))
    slope = "1.702" in code or not QUICK.isdisjoint(constants)
    return {
        "content": state,
        "activation": "quickgelu" if slope and calls in ({"sigmoid"}, {"silu"}) else None,
    }


class _Module:
    """Stands for every class in the archive: its objects have attributes, and no code that runs."""

    def __setstate__(self, state):
        refuse({"its __setstate__ would run as soon as it is loaded": not isinstance(state, dict)})
        vars(self).update(state)


class _Unpickler(pickle._Unpickler):  # the one in C allocates as much memory as a file asks for
    def find_class(self, module, name):
        if module.split(".")[0] == "__torch__":
            return _Module
        if module == "torch.jit._pickle":  # functions that are given a list and its type
            return lambda value, *kind: value
        known = torch._utils._rebuild_tensor_v2, OrderedDict, torch.device
        return {x.__name__: x for x in known}[name]


def read_json(path: Path) -> dict:
    """The object in a JSON file, a dict. Raises OSError if the file cannot be read, and UserError
    if it holds anything else."""
    refuse(odd_file(path))
    # a longer file is cut, and so is damaged
    return parse_json(path, first_bytes(path, JSON_BYTES))


def parse_json(path: Path, text: str | bytes) -> dict:
    """The object in the JSON text of a file, a dict. Raises UserError for anything else."""
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
                "it names other files than .safetensors or .bin files in its own folder": (
                    not all(re.fullmatch(r"[\w.-]+\.(safetensors|bin)", name) for name in names)
                )
            }
        )
    shards = {name: read(index.parent / name)["content"] for name in names}
    refuse(
        {
            f"{index} names a file for {name} that does not hold it": name not in shards[home]
            for name, home in homes.items()
        }
    )
    return {tensor: shards[home][tensor] for tensor, home in homes.items()}


def write_safetensors(state, metadata, file):
    """Write tensors into an open file, without a copy of them in memory."""
    with refusing("the weights cannot be written"):
        save_file(state, file.name, metadata=metadata)
    os.chmod(file.name, os.fstat(file.fileno()).st_mode)  # save_file's own file is for the owner


def by_miniclip(path: Path) -> dict:
    """The notes in the file of weights at `path` if miniclip wrote it, otherwise {}.

    check_output uses it to decide whether the file may be replaced. Raises UserError for the
    checkpoint of a run and for its best.pt, because the run could not go on without them.
    """
    try:
        notes = read(path)["notes"]
    except UserError:
        return {}
    ours = archive.is_ours(notes)
    refuse(
        {
            f"{path} is the checkpoint or best.pt of a run, which could not go on without it; choose "
            "another name": ours and not notes.keys().isdisjoint({"optimizer", "heldout_loss"})
        }
    )
    return notes if ours else {}
