"""Open a file of weights without running what is in it: four formats in, one dict out.

A checkpoint of torch is a pickle, and a pickle is a program. So .safetensors is read with its own
library, which reads tensors and text only. A pickle is read with torch.load(weights_only=True), which
accepts tensors, numbers, strings, lists and dicts and refuses everything else (training/archive.py).
OpenAI's files are TorchScript archives: torchscript.py reads their tensors and compiles nothing.
Hugging Face's libraries split a large model into several files and write an index, which says where
each tensor is. Models that the package brings have a name instead of a path, and so have released models (names.py).
What a file asks for is compared with a limit before memory or time is taken. No released CLIP comes
near these limits.
Left out: numpy files.
"""

import json
import os
import re
import zipfile
from pathlib import Path

from safetensors import safe_open

from miniclip.common import UserError, refuse
from miniclip.model.clip import OPENAI
from miniclip.training import archive
from miniclip.weights import torchscript
from miniclip.weights.names import IN_FOLDER, INDEX, is_known, locate

RELEASED = Path(__file__).parent / "released"  # what lessons/studies/release.py wrote
JSON_BYTES = 32 << 20
# what a value of another kind than expected raises, somewhere
WRONG = (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RuntimeError)


def available_models() -> list[str]:
    """The names that `load` knows: models in the package, then released ones, which it may download."""
    return [*sorted(file.stem for file in RELEASED.glob("*.pt")), *OPENAI]


def find(path: str | Path, known: bool = True) -> Path:
    """The file that `path` names: that of a released model ("icons"), the weights in a folder
    (IN_FOLDER), `path` itself, or, where there is nothing at `path`, the file of a name of names.py,
    which may be downloaded. known=False: without these names.

    "icons" always means the released model; write "./icons" for a file of that name. Raises UserError.
    """
    refuse({"the path of the weights is empty": path == ""})
    name = os.fspath(path)
    released = {file.stem: file for file in RELEASED.glob("*.pt")}
    path = released.get(name, Path(path))
    if known and not os.path.exists(path) and is_known(name):
        path = locate(name)
    return next((path / name for name in IN_FOLDER if os.path.isfile(path / name)), path)


def read(path: str | Path) -> dict:
    """Read a weights file, or all that an index names, onto the CPU. Returns a dict with

    format: "safetensors", "torch", "torchscript" or "shards" (an index); content: what the file
    holds, which is {name: tensor} but for "torch"; notes: the strings of a safetensors file, or {};
    activation: that of a TorchScript file's methods, or None. Raises UserError for what cannot be read.
    """
    path, found = Path(path), {"notes": {}, "activation": None}
    refuse(
        {
            f"the folder {path} holds none of {', '.join(IN_FOLDER)}": os.path.isdir(path),
            f"there is no weights file at {path}": not os.path.isfile(path),
        }
    )
    if path.name.endswith(INDEX):
        return found | {"format": "shards", "content": _read_shards(path)}
    try:
        with open(path, "rb") as file:
            start = file.read(23)
        pointer = "it is a pointer of Git LFS; fetch the file itself with: git lfs pull"
        refuse({pointer: start == b"version https://git-lfs"})
        if start[8:9] == b"{":  # the length of a JSON header, then the header
            with safe_open(path, framework="pt") as file:
                content = {name: file.get_tensor(name) for name in file.keys()}
                found["notes"] = file.metadata() or {}
            archive.check_tensors(content, path.stat().st_size)
            return found | {"format": "safetensors", "content": content}
        if zipfile.is_zipfile(path):
            entries = zipfile.ZipFile(path)
            if any(name.lower().endswith("/constants.pkl") for name in entries.namelist()):
                content, found["activation"] = torchscript.read(path, entries)
                return found | {"format": "torchscript", "content": content}
        return found | {"format": "torch", "content": archive.read(path)}
    except Exception as error:  # these readers raise almost anything for a damaged file
        raise UserError(f"{path} cannot be read as weights: {_reason(error)}") from None


def read_json(path: Path) -> dict:
    """The object in a JSON file. UserError for anything else."""
    try:
        with open(path, "rb") as file:
            return parse_json(path, file.read(JSON_BYTES))  # one that is longer is cut short
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None


def parse_json(path: Path, text: str | bytes) -> dict:
    """The object in JSON text that is from a file. UserError for anything else."""
    try:
        found = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{path} holds damaged JSON: {error}") from None
    refuse({f"{path} holds JSON, but no object of names and values": not isinstance(found, dict)})
    return found


def _read_shards(index):
    """{name: tensor} of a model whose tensors are spread over the files that `index` names."""
    try:
        homes = read_json(index)["weight_map"]
        names = sorted(set(homes.values()))
        beside = all(re.fullmatch(r"[\w.-]+\.(safetensors|bin)", name) for name in names)
        refuse({"it names files that do not lie beside it, or that hold no weights": not beside})
    except WRONG as error:
        raise UserError(f"{index} is no index of weights: {_reason(error)}") from None
    shards = {name: read(index.parent / name)["content"] for name in names}
    found = {}
    for tensor, home in homes.items():
        is_there = isinstance(shards[home], dict) and tensor in shards[home]
        refuse({f"{index} says that {tensor} is in {home}, but it is not": not is_there})
        found[tensor] = shards[home][tensor]
    return found


def by_miniclip(path: Path) -> dict:
    """What the file of weights at `path` says of itself if miniclip wrote it, else {}; for
    check_output.

    Raises UserError for the checkpoint of a run, which could not go on without its optimizer.
    """
    try:
        file = read(path)
    except UserError:
        return {}
    notes = file["content"] if file["format"] == "torch" else file["notes"]
    ours = isinstance(notes, dict) and archive.is_ours(notes)
    optimizer = f"{path} is the checkpoint of a run, with its optimizer; choose another name"
    refuse({optimizer: ours and "optimizer" in notes})
    return notes if ours else {}


def _reason(error):
    """An exception in a few words, on one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    refused = re.search(r"Unsupported (?:global: GLOBAL|class|operand) (\S+)", text)
    if "WeightsUnpickler" not in text and "weights_only" not in text:
        return text[:160]
    return f"it {'' if refused else 'is cut short, or '}holds more than tensors" + (
        f" ({refused[1]})" if refused else ""
    )
