"""Open a file of weights without running what is in it: four formats in, one dict out.

A checkpoint of torch is a pickle, and a pickle is a program. So .safetensors is read with its own
library, which reads tensors and text only. A pickle is read with torch.load(weights_only=True), which
accepts tensors, numbers, strings, lists and dicts and refuses everything else (training/archive.py).
OpenAI's files are TorchScript archives: torchscript.py reads their tensors and compiles nothing.
Hugging Face's libraries split a large model into several files and write an index, which says where
each tensor is. Models that the package brings have a name instead of a path.
Left out: numpy files, downloads.
"""

import os
import re
import zipfile
from pathlib import Path

from safetensors import safe_open

from miniclip.common import UserError
from miniclip.training import archive
from miniclip.weights import torchscript
from miniclip.weights.limits import WRONG, read_json

RELEASED = Path(__file__).parent / "released"  # what lessons/studies/release.py wrote
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
    return next((path / name for name in IN_FOLDER if os.path.isfile(path / name)), path)


def read(path):
    """Read a weights file, or all that an index names, onto the CPU: path -> dict with

    format: "safetensors", "torch", "torchscript" or "shards" (an index); content: what it holds,
    which is {name: tensor} but for "torch"; notes: its strings (safetensors), or {};
    activation: that of its methods (TorchScript), or None. Raises UserError in one sentence for what cannot be
    read.
    """
    if os.path.isdir(path):
        raise UserError(f"the folder {path} holds none of {', '.join(IN_FOLDER)}")
    if not os.path.isfile(path):
        raise UserError(f"there is no weights file at {path}")
    if str(path).endswith(INDEX):
        return dict(format="shards", content=_read_shards(Path(path)), notes={}, activation=None)
    path, notes, activation = Path(path), {}, None
    try:
        with open(path, "rb") as file:
            start = file.read(23)
        if start == b"version https://git-lfs":
            raise UserError("it is a pointer of Git LFS; fetch the file itself with: git lfs pull")
        if start[8:9] == b"{":  # the length of a JSON header, then the header
            kind = "safetensors"
            with safe_open(path, framework="pt") as file:
                content = {name: file.get_tensor(name) for name in file.keys()}
                notes = file.metadata() or {}
            archive.check_tensors(content, path.stat().st_size)
        elif zipfile.is_zipfile(path) and _is_torchscript(entries := zipfile.ZipFile(path)):
            kind, (content, activation) = "torchscript", torchscript.read(path, entries)
        else:
            kind, content = "torch", archive.read(path)
    except Exception as error:  # these readers raise almost anything for a damaged file
        raise UserError(f"{path} cannot be read as weights: {_reason(error)}") from None
    return {"format": kind, "content": content, "notes": notes, "activation": activation}


def _is_torchscript(entries):
    return any(name.lower().endswith("/constants.pkl") for name in entries.namelist())


def _read_shards(index):
    """{name: tensor} of a model whose tensors are spread over the files that `index` names."""
    try:
        homes = read_json(index)["weight_map"]
        names = sorted(set(homes.values()))
        if not all(re.fullmatch(r"[\w.-]+\.(safetensors|bin)", name) for name in names):
            raise UserError("it names files that are not beside it, or are no weights")
    except WRONG as error:
        raise UserError(f"{index} is no index of weights: {_reason(error)}") from None
    shards = {name: read(index.parent / name)["content"] for name in names}
    for tensor, home in homes.items():
        if not (isinstance(shards[home], dict) and tensor in shards[home]):
            raise UserError(f"{index} says that {tensor} is in {home}, but it is not")
    return {tensor: shards[home][tensor] for tensor, home in homes.items()}


def by_miniclip(path):
    """Whether miniclip wrote the file of weights at `path`; for check_output.

    Raises UserError for the checkpoint of a run, which could not go on without its optimizer.
    """
    try:
        file = read(path)
    except UserError:
        return False
    notes = file["content"] if file["format"] == "torch" else file["notes"]
    ours = isinstance(notes, dict) and archive.is_ours(notes)
    if ours and "optimizer" in notes:
        raise UserError(
            f"{path} is the checkpoint of a run, with its optimizer; choose another name"
        )
    return ours


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
