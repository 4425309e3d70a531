"""Open a file of weights without running what is in it: four formats in, one dict out.

A checkpoint of torch is a pickle, and a pickle is a program. So .safetensors is read with its own
library, which reads tensors and text only. A pickle is read with torch.load(weights_only=True), which
accepts tensors, numbers, strings, lists and dicts and refuses everything else. OpenAI's files are
TorchScript archives and need torch.jit.load. It compiles the methods in the archive and calls none
but __setstate__, so an archive with such a method is refused here. The check uses the reader that
torch.jit.load uses, and refuses two entries of one name, so that what is checked is what is compiled.
These readers themselves are trusted. Hugging Face's libraries split a large model into several files
and write an index, which says where each tensor is. Models that the package brings have a name
instead of a path.
Left out: numpy files, downloads.
"""

import json
import os
import re
from collections import Counter
from pathlib import Path

import torch
from safetensors import safe_open

from miniclip.common import UserError

RELEASED = Path(__file__).parent / "released"  # what release.py wrote: {name}.pt
INDEX = ".index.json"  # ends the name of the index of a model in several files
# the names that weights have in a folder of Hugging Face's hub, the first that is there is read
IN_FOLDER = (
    "model.safetensors",
    "model.safetensors" + INDEX,
    "pytorch_model.bin",
    "pytorch_model.bin" + INDEX,
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.bin",
)


def find(path):
    """The file that `path` names, a Path: that of a released model ("icons"), the weights in a
    folder (IN_FOLDER), or `path` itself.

    The name wins: a file called so is "./icons".
    """
    released = {file.stem: file for file in RELEASED.glob("*.pt")}
    path = released.get(os.fspath(path), Path(path))
    return next((path / name for name in IN_FOLDER if (path / name).is_file()), path)


def read(path):
    """Read a weights file, or all that an index names, onto the CPU: path -> dict with

    format: "safetensors", "torch", "torchscript" or "shards" (an index); content: what it holds,
    which is {name: tensor} but for "torch"; notes: its strings (safetensors), or {}; code: the
    source of its methods (TorchScript), or "". Raises UserError in one sentence for what cannot be
    read.
    """
    if Path(path).is_dir():
        raise UserError(f"the folder {path} holds none of {', '.join(IN_FOLDER)}")
    if not Path(path).is_file():
        raise UserError(f"there is no weights file at {path}")
    if str(path).endswith(INDEX):
        return {"format": "shards", "content": _read_shards(Path(path)), "notes": {}, "code": ""}
    with open(path, "rb") as file:
        start = file.read(9)
    notes, code = {}, ""
    try:
        if start[8:] == b"{":  # the length of a JSON header, then the header
            kind = "safetensors"
            with safe_open(path, framework="pt") as file:
                content = {name: file.get_tensor(name) for name in file.keys()}
                notes = file.metadata() or {}
        elif (source := _torchscript_code(path)) is None:
            kind, content = "torch", torch.load(path, map_location="cpu", weights_only=True)
        elif "__setstate__" in source:
            raise UserError("its __setstate__ would run as soon as it is loaded")
        else:
            kind, code = "torchscript", source
            content = dict(torch.jit.load(str(path), map_location="cpu").state_dict())
    except Exception as error:  # these readers raise almost anything for a damaged file
        raise UserError(f"{path} cannot be read as weights: {_reason(error)}") from None
    return {"format": kind, "content": content, "notes": notes, "code": code}


def _read_shards(index):
    """{name: tensor} of a model whose tensors are spread over the files that `index` names."""
    try:
        homes = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        names = sorted(set(homes.values()))
        if not all(re.fullmatch(r"[\w.-]+\.(safetensors|bin)", name) for name in names):
            raise UserError("it names files that are not beside it, or are no weights")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{index} is no index of weights: {_reason(error)}") from None
    shards = {name: read(index.parent / name)["content"] for name in names}
    for tensor, home in homes.items():
        if not (isinstance(shards[home], dict) and tensor in shards[home]):
            raise UserError(f"{index} says that {tensor} is in {home}, but it is not")
    return {tensor: shards[home][tensor] for tensor, home in homes.items()}


def _torchscript_code(path):
    """The source text of a TorchScript archive's methods; None for any other file.

    Raises UserError for entries that torch.jit.load may look up and find another one.
    """
    try:
        archive = torch._C.PyTorchFileReader(str(path))
        names = archive.get_all_records()
    except (RuntimeError, UnicodeDecodeError):  # not one of torch's archives
        return None
    name, times = Counter(map(str.lower, names)).most_common(1)[0]  # its look-up ignores case
    if times > 1:
        raise UserError(f"it has {times} entries called {name!r}")
    if not all(map(archive.has_record, names)):  # names of more than 511 bytes are listed cut off
        raise UserError("it has an entry whose name is too long")
    if "constants.pkl" not in map(str.lower, names):
        return None
    sources = [name for name in names if name.lower().endswith(".py")]
    return "\n".join(archive.get_record(name).decode("utf-8", "replace") for name in sources)


def _reason(error):
    """An exception in a few words, on one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    refused = re.search(r"Unsupported (?:global: GLOBAL|class|operand) (\S+)", text)
    if "WeightsUnpickler" not in text and "weights_only" not in text:
        return text[:160]
    return (
        f"it holds more than tensors ({refused[1]})"
        if refused
        else "it is cut short, or holds more than tensors"
    )
